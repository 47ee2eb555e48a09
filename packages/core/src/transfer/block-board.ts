import type { ReceivePiece } from './lane-messages.ts'

/** Of a block; `none`: nothing of it is to come. */
const STATE = { none: 0, missing: 1, flying: 2 } as const

/** Which blocks of an artifact are to come, and which of them somebody is asked for. */
export class BlockBoard {
  readonly size: number
  readonly #state: Uint8Array
  /** Which chunks of which files are to come, by block. */
  readonly #orders = new Map<number, ReceivePiece[]>()
  #left = 0
  #flying = 0
  #start: number

  /** @param start - the block at which this peer begins to look */
  constructor(size: number, start: number) {
    this.size = size
    this.#state = new Uint8Array(size)
    this.#start = start
  }

  /** Blocks that are to come: missing, on their way, or not yet taken over. */
  get left(): number {
    return this.#left
  }

  /** Those of them that somebody is asked for, or that are not yet taken over. */
  get flying(): number {
    return this.#flying
  }

  /** What is to come, block by block. */
  get orders(): Iterable<ReceivePiece[]> {
    return this.#orders.values()
  }

  add(block: number, pieces: ReceivePiece[]): void {
    this.#orders.set(block, pieces)
    this.#state[block] = STATE.missing
    this.#left += 1
  }

  /** Of a block that is to come. */
  pieces(block: number): ReceivePiece[] {
    return this.#orders.get(block)!
  }

  isMissing(block: number): boolean {
    return this.#state[block] === STATE.missing
  }

  isFlying(block: number): boolean {
    return this.#state[block] === STATE.flying
  }

  /** Somebody is asked for it; also for one that another was asked for already. */
  fly(block: number): void {
    if (this.isMissing(block)) this.#flying += 1
    this.#state[block] = STATE.flying
  }

  /** Nobody is any more. */
  drop(block: number): void {
    if (!this.isFlying(block)) return
    this.#state[block] = STATE.missing
    this.#flying -= 1
  }

  /** It came. What was to come of it; undefined: it was asked for twice, and the other was quicker. */
  came(block: number): ReceivePiece[] | undefined {
    const pieces = this.#orders.get(block)
    if (pieces === undefined) return undefined
    this.#orders.delete(block)
    this.#state[block] = STATE.none
    return pieces
  }

  /** So many that came are taken over. */
  tookOver(blocks: number): void {
    this.#left -= blocks
    this.#flying -= blocks
  }

  /** Blocks that nobody is asked for, from this peer's beginning on. */
  *missing(has: (block: number) => boolean): Generator<number> {
    const count = this.size
    // What is here is not looked at again and again.
    for (let step = 0; step < count && this.#state[this.#start] === STATE.none; step++) {
      this.#start = (this.#start + 1) % count
    }
    for (let step = 0; step < count && this.#left > this.#flying; step++) {
      const block = (this.#start + step) % count
      if (this.isMissing(block) && has(block)) yield block
    }
  }

  /** Whether each block that has not come satisfies a condition. */
  everyToCome(satisfies: (block: number) => boolean): boolean {
    return this.#orders.keys().every(satisfies)
  }
}
