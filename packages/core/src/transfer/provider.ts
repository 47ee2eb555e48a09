import type { TransferSource } from '../artifacts/artifact-store.ts'
import type { TransferGovernor } from '../artifacts/transfer-governor.ts'
import { TRANSFER } from '../artifacts/transfer-limits.ts'
import { ManyhandsError, toManyhandsError } from '../errors.ts'
import type { BlockSet } from './block-set.ts'
import type { ReceiveOrder, ReceivePiece } from './lane-messages.ts'
import type { LaneEvents, LanePath, ReceivingLane } from './receiving-lane.ts'

/** Blocks that are asked for as one. */
export interface Chosen {
  blocks: number[]
  pieces: ReceivePiece[]
  bytes: number
}

/** They are on their way. */
export interface Flying extends Chosen {
  order: ReceiveOrder
  lane: Lane
}

interface Lane {
  receiving: ReceivingLane
  bytes: number
}

export interface ProviderOptions {
  peer: string
  /** Who was named as the source: the content's owner, mostly, whose uplink is to be spared. */
  origin: boolean
  /** What it has; undefined: everything. */
  has: BlockSet | undefined
  governor: TransferGovernor | undefined
  signal: AbortSignal
  openLane(events: LaneEvents): Promise<ReceivingLane>
  /** Most lanes that are worth having. */
  lanes: number
  /** Bytes asked for and not yet here. */
  windowBytes(provider: Provider): number
  /** Whether there is something to ask it for. */
  wants(provider: Provider): boolean
  /** Takes what to ask it for next, some blocks of not more bytes or one; undefined: nothing now. */
  choose(provider: Provider, bytes: number): Chosen | undefined
  done(flying: Flying, provider: Provider): void
  /** They are not coming from there any more. */
  dropped(flying: Flying): void
  /** It gives nothing any more. */
  lost(provider: Provider, error: ManyhandsError): void
}

/** One peer that gives content: its lanes and what is on its way over them. */
export class Provider {
  readonly peer: string
  readonly origin: boolean
  readonly has: BlockSet | undefined
  readonly #options: ProviderOptions
  readonly #lanes = new Set<Lane>()
  readonly #flying = new Map<number, Flying>()
  #opening = 0
  #mostLanes: number
  #lastOrder = 0
  /** Lanes that ended without having brought anything. */
  #idleEnds = 0
  #waiting = false
  #gone = false
  #path: LanePath | undefined
  #bytes = 0
  readonly #since = performance.now()
  #movedAt = performance.now()
  #told = { bytes: 0, at: performance.now() }

  constructor(options: ProviderOptions) {
    this.peer = options.peer
    this.origin = options.origin
    this.has = options.has
    this.#options = options
    this.#mostLanes = options.lanes
  }

  get gone(): boolean {
    return this.#gone
  }

  get flying(): Iterable<Flying> {
    return this.#flying.values()
  }

  get idle(): boolean {
    return this.#flying.size === 0
  }

  asksFor(block: number): boolean {
    for (const { blocks } of this.#flying.values()) if (blocks.includes(block)) return true
    return false
  }

  /** It was asked, and has given nothing for a while. */
  get late(): boolean {
    if (this.idle || this.#waiting) return false
    return performance.now() - this.#movedAt > TRANSFER.rescueMs
  }

  /** Asks for as much as its window has room for. */
  fill(): void {
    if (this.#gone || this.#waiting) return
    if (this.#lanes.size === 0) {
      // Only opened when there is something to ask for.
      if (this.#opening === 0 && this.#options.wants(this)) this.#open()
      return
    }
    if (this.#isWorthAnother()) this.#open()
    const room = this.#windowBytes() / this.#lanes.size
    const orders = new Map<Lane, ReceiveOrder[]>()
    for (;;) {
      const lane = [...this.#lanes].reduce((a, b) => (b.bytes < a.bytes ? b : a))
      const flying = lane.bytes < room ? this.#next(lane) : undefined
      if (flying === undefined) break
      const { order, bytes } = flying
      const allowed = this.#options.governor?.take('down', this.peer, bytes, this.#options.signal)
      if (allowed !== undefined) {
        this.#orderWhen(allowed, flying)
        break
      }
      const before = orders.get(lane)
      if (before === undefined) orders.set(lane, [order])
      else before.push(order)
    }
    for (const [lane, lot] of orders) lane.receiving.order(lot)
  }

  /** Not more than it gives in a while: what a slow one was asked for, the others are not. */
  #windowBytes(): number {
    const most = this.#options.windowBytes(this)
    if (this.origin) return most
    if (this.#bytes === 0) return Math.min(most, TRANSFER.sharedWindowBytes)
    return Math.min(most, Math.max(TRANSFER.leastWindowBytes, this.rate * 2 * TRANSFER.rescueMs))
  }

  /**
   * Bytes of one order: what it gives in a moment, as a cut costs an order, and each has its price. Where
   * others ask for the same, the steps stay small.
   */
  #orderBytes(): number {
    return Math.min(TRANSFER.batchBytes, this.#windowBytes() / 4, this.rate * TRANSFER.batchMs)
  }

  /** Bytes per ms. */
  get rate(): number {
    return this.#bytes / Math.max(1, performance.now() - this.#since)
  }

  #next(lane: Lane): Flying | undefined {
    const chosen = this.#options.choose(this, this.#orderBytes())
    if (chosen === undefined) return undefined
    this.#lastOrder += 1
    const order = { id: this.#lastOrder, pieces: chosen.pieces }
    const flying = { ...chosen, order, lane }
    if (this.idle) this.#movedAt = performance.now()
    this.#flying.set(order.id, flying)
    lane.bytes += chosen.bytes
    return flying
  }

  #orderWhen(allowed: Promise<void>, flying: Flying): void {
    this.#waiting = true
    allowed.then(
      () => {
        this.#waiting = false
        this.#movedAt = performance.now()
        if (this.#lanes.has(flying.lane)) flying.lane.receiving.order([flying.order])
        this.fill()
      },
      (error) => this.drop(toManyhandsError(error)),
    )
  }

  /** What came since the last time; undefined: nothing, or it was asked a moment ago. */
  news(): TransferSource | undefined {
    const { bytes, at } = this.#told
    const now = performance.now()
    if (this.#path === undefined || now - at < TRANSFER.sourceNewsMs || bytes === this.#bytes) {
      return undefined
    }
    this.#told = { bytes: this.#bytes, at: now }
    return this.#source((this.#bytes - bytes) / (now - at))
  }

  /** What came in all; undefined when it was never asked. */
  summary(error?: ManyhandsError): TransferSource | undefined {
    if (this.#path === undefined) return undefined
    const source = this.#source(this.rate)
    return error === undefined ? source : { ...source, error: error.toJSON() }
  }

  #source(bytesPerMs: number): TransferSource {
    const ratePerSecond = Math.round(bytesPerMs * 1000)
    return { peer: this.peer, path: this.#path!, bytes: this.#bytes, ratePerSecond }
  }

  /** Ends all lanes. Resolves when nothing is written any more. */
  async close(error?: ManyhandsError): Promise<void> {
    this.#gone = true
    await Promise.all(
      [...this.#lanes].map(({ receiving, bytes }) => {
        if (error !== undefined) return receiving.fail(error)
        if (bytes === 0) return receiving.end()
        // It was late, and is not waited for.
        return receiving.fail(new ManyhandsError('CANCELED', 'others have sent what was wanted'))
      }),
    )
  }

  /** It is asked for nothing any more. */
  drop(error: ManyhandsError): void {
    if (this.#gone) return
    this.#gone = true
    this.#void(() => true)
    this.#options.lost(this, error)
  }

  /** Whether it gives more than one lane may be able to take. */
  #isWorthAnother(): boolean {
    if (this.#lanes.size + this.#opening >= this.#mostLanes) return false
    return this.rate > TRANSFER.anotherLaneRate / 1000 && this.#options.wants(this)
  }

  #open(): void {
    this.#opening += 1
    this.#openOne()
      .catch((error) => {
        if (this.#lanes.size === 0 && this.#opening === 1) this.drop(toManyhandsError(error))
        // There are enough without it.
        this.#mostLanes = this.#lanes.size
      })
      .finally(() => {
        this.#opening -= 1
        this.fill()
      })
  }

  async #openOne(): Promise<void> {
    let lane: Lane | undefined
    let brought = false
    const receiving = await this.#options.openLane({
      onDone: (id) => {
        const flying = this.#flying.get(id)
        if (flying === undefined) return
        brought = true
        this.#idleEnds = 0
        this.#movedAt = performance.now()
        this.#flying.delete(id)
        flying.lane.bytes -= flying.bytes
        this.#bytes += flying.bytes
        this.#options.done(flying, this)
      },
      onEnd: (error) => {
        if (lane === undefined) return
        this.#lanes.delete(lane)
        this.#void((flying) => flying.lane === lane)
        if (this.#gone || error === undefined) return
        if (!brought) this.#idleEnds += 1
        // A cut lane is tried again while the peer is there; wrong bytes are not.
        const again = error.code === 'PEER_GONE' && this.#idleEnds <= TRANSFER.laneTries
        if (!again) this.drop(error)
        else this.fill()
      },
    })
    if (this.#gone) {
      await receiving.fail(new ManyhandsError('CANCELED', 'the transfer is over'))
      return
    }
    lane = { receiving, bytes: 0 }
    this.#path = receiving.path
    this.#lanes.add(lane)
  }

  #void(which: (flying: Flying) => boolean): void {
    for (const [id, flying] of this.#flying) {
      if (!which(flying)) continue
      this.#flying.delete(id)
      this.#options.dropped(flying)
    }
  }
}
