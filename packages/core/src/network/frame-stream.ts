import type { Stream } from '@libp2p/interface'
import { Uint8ArrayList } from 'uint8arraylist'
import { ManyhandsError } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import { FrameAssembler, headerOf } from './frame-assembler.ts'
import { FRAME_COST, FRAME_KIND } from './frame-kind.ts'
import { FrameQueue } from './frame-queue.ts'
import { FramePace } from './manners/frame-pace.ts'
import type { Manners } from './manners/manners.ts'
import type { Offence } from './manners/offences.ts'
import type { FrameStream, PeerRoute } from './network.ts'
import { peerGone, plainCause } from './peer-error.ts'

/** Frames are handed to the layer below in pieces of about this size. */
const CORK_BYTES = 256 * 1024
/** Frames that a caller who does not await may queue here, in credit. */
const OUTBOX_COST = 2 * LIMITS.streamCreditBytes
const CLOSE_TIMEOUT_MS = 10_000

interface Outgoing {
  /** undefined: the end. */
  frame: Uint8Array | undefined
  cost: number
  resolve(): void
  reject(error: unknown): void
}

export interface FrameStreamOptions {
  peer: string
  route?: PeerRoute
  /** Opened by the peer: its first frame must come in time. */
  inbound: boolean
  /** Test seam: how long the first frame may take. */
  headerMs?: number
  /** Counts what it holds in memory, and what is held against the peer. */
  manners?: Manners
}

/** Frames with credits over a libp2p stream. */
export function createFrameStream(stream: Stream, options: FrameStreamOptions): FrameStream {
  return new CreditedFrameStream(stream, options)
}

class CreditedFrameStream implements FrameStream {
  readonly peer: string
  readonly route: PeerRoute | undefined
  readonly #stream: Stream
  readonly #assembler: FrameAssembler
  readonly #received = new FrameQueue()
  readonly #outbox: Outgoing[] = []
  #outboxCost = 0
  #corked = new Uint8ArrayList()
  #flushScheduled: NodeJS.Immediate | undefined
  /** What we may still send, and what the peer may. */
  #credit = LIMITS.streamCreditBytes
  #receivable = LIMITS.streamCreditBytes
  /** Taken by the reader and not granted again yet. */
  #taken = 0
  #closing: Promise<void> | undefined
  #endSent = false
  #endReceived = false
  #failure: unknown
  #failed = false
  #reader: PromiseWithResolvers<Uint8Array | undefined> | undefined
  #drained: PromiseWithResolvers<void> | undefined
  #headerTimer: NodeJS.Timeout | undefined
  readonly #manners: Manners | undefined
  readonly #pace = new FramePace()
  #spoke: boolean
  /** Bytes of frames that count as held. */
  #held = 0

  constructor(
    stream: Stream,
    { peer, route, inbound, headerMs = LIMITS.streamHeaderMs, manners }: FrameStreamOptions,
  ) {
    this.#manners = manners
    this.#spoke = !inbound
    this.peer = peer
    this.route = route
    this.#stream = stream
    this.#assembler = new FrameAssembler(
      (word) => this.#onHeader(word),
      (word, body) => this.#onFrame(word, body),
    )
    stream.addEventListener('message', (event) => {
      const { data } = event
      if (data instanceof Uint8Array) this.#assembler.push(data)
      else for (const chunk of data) this.#assembler.push(chunk)
      if (this.#failed || !this.#pace.slow(data.byteLength, this.#assembler.inFrame)) return
      this.#refuse('slow', 'TIMEOUT', 'sends too slowly')
    })
    stream.addEventListener('drain', () => this.#onDrain())
    stream.addEventListener('close', (event) => this.#onClose(event.error))
    // The end frame may still be on its way through this turn's events.
    stream.addEventListener('remoteCloseWrite', () => queueMicrotask(() => this.#onClose()))
    // It may have ended before we could listen; what came before the end is dispatched first.
    if (stream.status !== 'open' || stream.remoteWriteStatus !== 'writable') {
      queueMicrotask(() => this.#onClose())
    }
    if (inbound) {
      this.#headerTimer = setTimeout(() => {
        this.#refuse('silent', 'TIMEOUT', 'opened a stream and sent nothing')
      }, headerMs).unref()
    }
  }

  async send(frame: Uint8Array): Promise<void> {
    if (frame.length > LIMITS.streamFrameBytes) {
      throw new ManyhandsError(
        'FRAME_TOO_LARGE',
        `a frame of ${frame.length} bytes is beyond the limit of ${LIMITS.streamFrameBytes}`,
      )
    }
    if (this.#failed) throw this.#failure
    if (this.#closing !== undefined) {
      throw new ManyhandsError('CLOSED', 'this direction of the stream was closed')
    }
    const cost = frame.length + FRAME_COST
    if (this.#outbox.length === 0 && this.#canWrite(cost)) {
      this.#writeData(frame, cost)
      return
    }
    if (this.#outboxCost + cost > OUTBOX_COST) {
      throw new ManyhandsError('LIMIT', 'too many frames are queued: await each send()')
    }
    await this.#enqueue(frame, cost)
  }

  async next(): Promise<Uint8Array | undefined> {
    const frame = this.#received.shift()
    if (frame !== undefined) {
      this.#hold(-frame.length)
      this.#grant(frame.length + FRAME_COST)
      return frame
    }
    if (this.#endReceived) return undefined
    if (this.#failed) throw this.#failure
    if (this.#reader !== undefined) {
      throw new ManyhandsError('INTERNAL', 'a frame stream has one reader')
    }
    this.#reader = Promise.withResolvers()
    return this.#reader.promise
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    for (let frame = await this.next(); frame !== undefined; frame = await this.next()) yield frame
  }

  close(): Promise<void> {
    if (this.#closing === undefined) {
      this.#closing = this.#end()
      // A cut ends the stream too: who closes without waiting for it is not to be told so by a crash.
      this.#closing.catch(() => {})
    }
    return this.#closing
  }

  abort(reason?: unknown): void {
    if (this.#failed) return
    const error = reason ?? new ManyhandsError('CANCELED', 'the stream was aborted')
    this.#received.clear()
    this.#fail(error)
    this.#stream.abort(error instanceof Error ? error : new Error(String(error)))
  }

  async #end(): Promise<void> {
    if (this.#failed) throw this.#failure
    await this.#enqueue(undefined, 0)
    while (this.#stream.writableNeedsDrain && this.#stream.status === 'open') {
      this.#drained = Promise.withResolvers()
      await this.#drained.promise
    }
    if (this.#failed) throw this.#failure
  }

  async #enqueue(frame: Uint8Array | undefined, cost: number): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.#outbox.push({ frame, cost, resolve, reject })
    this.#outboxCost += cost
    this.#pump()
    await promise
  }

  #canWrite(cost: number): boolean {
    return !this.#failed && this.#credit >= cost && !this.#stream.writableNeedsDrain
  }

  #pump(): void {
    let next = this.#outbox[0]
    while (next !== undefined && this.#canWrite(next.cost)) {
      this.#outbox.shift()
      this.#outboxCost -= next.cost
      if (next.frame === undefined) this.#writeEnd()
      else this.#writeData(next.frame, next.cost)
      next.resolve()
      next = this.#outbox[0]
    }
  }

  #writeData(frame: Uint8Array, cost: number): void {
    this.#credit -= cost
    this.#write(FRAME_KIND.data, frame.length, frame)
  }

  #writeEnd(): void {
    this.#endSent = true
    this.#write(FRAME_KIND.end, 0)
    this.#flush()
    this.#finish()
  }

  #write(kind: number, count: number, body?: Uint8Array): void {
    this.#corked.append(headerOf((kind << 24) | count))
    if (body !== undefined) this.#corked.append(body)
    if (this.#corked.byteLength >= CORK_BYTES) this.#flush()
    else this.#flushScheduled ??= setImmediate(() => this.#flush())
  }

  #flush(): void {
    clearImmediate(this.#flushScheduled)
    this.#flushScheduled = undefined
    if (this.#failed || this.#corked.byteLength === 0) return
    const corked = this.#corked
    this.#corked = new Uint8ArrayList()
    try {
      this.#stream.send(corked)
    } catch (cause) {
      this.#fail(peerGone(this.peer, 'the stream cannot be written to', cause))
    }
  }

  #onDrain(): void {
    // B1 of the layer below: its onDrain() resolves at once from its second use on; the event holds.
    if (this.#stream.writableNeedsDrain) return
    this.#pump()
    if (!this.#stream.writableNeedsDrain) this.#drained?.resolve()
  }

  #onHeader(word: number): number {
    clearTimeout(this.#headerTimer)
    const kind = word >>> 24
    const count = word & 0xffffff
    if (kind === FRAME_KIND.data && !this.#endReceived) {
      if (count > LIMITS.streamFrameBytes) {
        return this.#refuse('oversize', 'FRAME_TOO_LARGE', `announced a frame of ${count} bytes`)
      }
      this.#receivable -= count + FRAME_COST
      if (this.#receivable < 0) {
        return this.#refuse('oversize', 'PROTOCOL', 'sent more than its credit')
      }
      if (!this.#hold(count)) {
        // Where all peers together hold too much, this one is not to blame.
        const hoards = this.#manners?.held.hoards(this.peer, count) === true
        const text = 'sends more than is taken, on many streams'
        return this.#refuse(hoards ? 'oversize' : 'crowd', 'LIMIT', text)
      }
      return count
    }
    if (kind === FRAME_KIND.credit) {
      this.#credit += count
      if (this.#credit > LIMITS.streamCreditBytes) {
        return this.#refuse('malformed', 'PROTOCOL', 'granted more credit than was used')
      }
      return 0
    }
    if (kind === FRAME_KIND.end && count === 0 && !this.#endReceived) return 0
    const text = `sent a frame header that makes no sense (${word})`
    return this.#refuse('malformed', 'PROTOCOL', text)
  }

  #refuse(
    offence: Offence,
    code: 'FRAME_TOO_LARGE' | 'PROTOCOL' | 'LIMIT' | 'TIMEOUT',
    what: string,
  ): number {
    this.#assembler.stop()
    this.#spoke = true
    this.abort(new ManyhandsError(code, `peer ${this.peer} ${what}`))
    this.#manners?.offend(this.peer, offence)
    return 0
  }

  /** Frames that begin to come count as memory until they are taken; negative: so many are. */
  #hold(bytes: number): boolean {
    if (this.#manners === undefined || bytes === 0) return true
    const { held } = this.#manners
    // After a cut all was given back already.
    const change = Math.max(bytes, -this.#held)
    if (change < 0) held.give(this.peer, -change)
    else if (!held.take(this.peer, change)) return false
    this.#held += change
    return true
  }

  #onFrame(word: number, body: Uint8Array): void {
    if (!this.#spoke) this.#manners?.spoke(this.peer)
    this.#spoke = true
    switch (word >>> 24) {
      case FRAME_KIND.credit:
        this.#pump()
        break
      case FRAME_KIND.end:
        this.#endReceived = true
        this.#settleReader((reader) => reader.resolve(undefined))
        this.#finish()
        break
      default:
        if (this.#reader === undefined) this.#received.push(body)
        else {
          this.#hold(-body.length)
          this.#grant(body.length + FRAME_COST)
          this.#settleReader((reader) => reader.resolve(body))
        }
    }
  }

  /** Credit goes back in quarters of the window: few frames, and a blocked sender always gets one. */
  #grant(cost: number): void {
    this.#taken += cost
    if (this.#taken < LIMITS.streamCreditBytes / 4 || this.#endReceived || this.#failed) return
    this.#receivable += this.#taken
    this.#write(FRAME_KIND.credit, this.#taken)
    this.#flush()
    this.#taken = 0
  }

  /** Both directions ended: nothing more is owed, not even credit. */
  #finish(): void {
    if (!this.#endSent || !this.#endReceived || this.#failed) return
    this.#stream.close({ signal: AbortSignal.timeout(CLOSE_TIMEOUT_MS) }).catch((error: Error) => {
      this.#stream.abort(error)
    })
  }

  #onClose(error?: Error): void {
    const complete = this.#endSent && this.#endReceived && error === undefined
    if (this.#failed || complete) {
      this.#drained?.resolve()
      return
    }
    const what = error === undefined ? 'it closed the stream early' : plainCause(error)
    // What arrived whole before the cut can still be read.
    this.#fail(peerGone(this.peer, what, error))
    if (this.#stream.status === 'open') this.#stream.abort(new Error(what))
  }

  #fail(error: unknown): void {
    this.#failed = true
    this.#failure = error
    // What came whole can still be read, by whoever does so at once.
    this.#hold(-this.#held)
    if (!this.#spoke) this.#manners?.offend(this.peer, 'cut')
    this.#assembler.stop()
    this.#corked = new Uint8ArrayList()
    clearTimeout(this.#headerTimer)
    clearImmediate(this.#flushScheduled)
    for (const entry of this.#outbox.splice(0)) entry.reject(error)
    if (!this.#endReceived) this.#settleReader((reader) => reader.reject(error))
    this.#drained?.resolve()
  }

  #settleReader(settle: (reader: PromiseWithResolvers<Uint8Array | undefined>) => void): void {
    const reader = this.#reader
    this.#reader = undefined
    if (reader !== undefined) settle(reader)
  }
}
