import { ManyhandsError } from '../errors.ts'
import { TokenBucket } from './token-bucket.ts'

/** Pieces that wait at once, of all peers: each stream waits with one, so this is beyond what is open. */
const WAITING = 65_536
/** Peers known before those are forgotten that neither wait nor owe anything, and how long they rest, ms. */
const KNOWN = 256
const IDLE_MS = 1000

interface Piece {
  bytes: number
  go: () => void
}

interface PeerQueue {
  bucket: TokenBucket
  waiting: Set<Piece>
  /** Where it stands in the order of turns: whoever was served least is next. */
  turn: number
  usedAt: number
}

/**
 * One direction: a bucket for all peers, one for each, and turns among those that wait. A peer that its
 * own cap holds up takes no turn from the others.
 */
export class TransferLane {
  readonly #now: () => number
  readonly #all: TokenBucket
  readonly #peers = new Map<string, PeerQueue>()
  #perPeer = Number.POSITIVE_INFINITY
  #limited = false
  #waiting = 0
  /** Turn of the last piece that went: who comes anew begins here, and not with what it missed. */
  #turn = 0
  #forgetAt = KNOWN
  #timer: NodeJS.Timeout | undefined

  /** @param now - monotonic, ms */
  constructor(now: () => number) {
    this.#now = now
    this.#all = new TokenBucket(Number.POSITIVE_INFINITY, now())
  }

  /** Bytes per second; undefined: no limit. Who waits is judged anew. */
  setRates(all: number | undefined, perPeer: number | undefined): void {
    const now = this.#now()
    this.#perPeer = perPeer ?? Number.POSITIVE_INFINITY
    this.#all.setRate(all ?? Number.POSITIVE_INFINITY, now)
    for (const { bucket } of this.#peers.values()) bucket.setRate(this.#perPeer, now)
    this.#limited = all !== undefined || perPeer !== undefined
    this.#serve()
  }

  /** Undefined when the bytes may go now. */
  take(peer: string, bytes: number, signal?: AbortSignal): Promise<void> | undefined {
    if (!this.#limited) return undefined
    const now = this.#now()
    const queue = this.#queueOf(peer, now)
    if (this.#waiting === 0 && this.#waitMs(queue, bytes, now) === 0) {
      this.#spend(queue, bytes, now)
      return undefined
    }
    if (this.#waiting >= WAITING) {
      return Promise.reject(
        new ManyhandsError('LIMIT', `${WAITING} pieces of data wait for the transfer caps`),
      )
    }
    const turn = this.#wait(queue, bytes, signal)
    this.#serve()
    return turn
  }

  #wait(queue: PeerQueue, bytes: number, signal: AbortSignal | undefined): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const leave = () => {
      queue.waiting.delete(piece)
      this.#waiting -= 1
      signal?.removeEventListener('abort', onAbort)
    }
    const onAbort = () => {
      leave()
      reject(signal!.reason)
      this.#serve()
    }
    const piece: Piece = {
      bytes,
      go: () => {
        leave()
        resolve()
      },
    }
    if (queue.waiting.size === 0) queue.turn = Math.max(queue.turn, this.#turn)
    queue.waiting.add(piece)
    this.#waiting += 1
    signal?.addEventListener('abort', onAbort, { once: true })
    return promise
  }

  /** Lets go what may, in turns, and sets the clock for the next. */
  #serve(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const now = this.#now()
    while (this.#waiting > 0) {
      const next = this.#next(now)
      if (typeof next === 'number') {
        // Whoever waits has a connection open, and that is what keeps a process alive.
        this.#timer = setTimeout(() => this.#serve(), Math.max(1, Math.ceil(next)))
        this.#timer.unref()
        return
      }
      this.#spend(next.queue, next.piece.bytes, now)
      next.piece.go()
    }
  }

  /** The next piece that may go now; or how long none may, ms. */
  #next(now: number): { queue: PeerQueue; piece: Piece } | number {
    let next: { queue: PeerQueue; piece: Piece } | undefined
    let waitMs = Number.POSITIVE_INFINITY
    for (const queue of this.#peers.values()) {
      const [piece] = queue.waiting
      if (piece === undefined) continue
      const ownMs = queue.bucket.waitMs(piece.bytes, now)
      if (ownMs > 0) waitMs = Math.min(waitMs, ownMs)
      else if (next === undefined || queue.turn < next.queue.turn) next = { queue, piece }
    }
    if (next === undefined) return waitMs
    const allMs = this.#all.waitMs(next.piece.bytes, now)
    return allMs > 0 ? allMs : next
  }

  #waitMs({ bucket }: PeerQueue, bytes: number, now: number): number {
    return Math.max(bucket.waitMs(bytes, now), this.#all.waitMs(bytes, now))
  }

  #spend(queue: PeerQueue, bytes: number, now: number): void {
    queue.bucket.spend(bytes, now)
    this.#all.spend(bytes, now)
    this.#turn = Math.max(this.#turn, queue.turn)
    queue.turn = this.#turn + bytes
    queue.usedAt = now
  }

  #queueOf(peer: string, now: number): PeerQueue {
    let queue = this.#peers.get(peer)
    if (queue === undefined) {
      if (this.#peers.size >= this.#forgetAt) this.#forgetIdle(now)
      const bucket = new TokenBucket(this.#perPeer, now)
      queue = { bucket, waiting: new Set(), turn: this.#turn, usedAt: now }
      this.#peers.set(peer, queue)
    }
    return queue
  }

  #forgetIdle(now: number): void {
    for (const [peer, { bucket, waiting, usedAt }] of this.#peers) {
      if (waiting.size > 0 || now - usedAt < IDLE_MS || !bucket.full(now)) continue
      this.#peers.delete(peer)
    }
    // Not again for every peer that comes while many are at work.
    this.#forgetAt = Math.max(KNOWN, 2 * this.#peers.size)
  }
}
