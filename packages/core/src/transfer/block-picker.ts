import { TRANSFER } from '../artifacts/transfer-limits.ts'
import type { BlockBoard } from './block-board.ts'
import { holders, isOurs, rarest, type SwarmView } from './block-choice.ts'
import { bytesOf, joined } from './block-pieces.ts'
import type { BlockSet } from './block-set.ts'
import type { Chosen, Provider } from './provider.ts'

export interface BlockPickerParts {
  self: string
  /** Whether others may fetch the same. */
  shared: boolean
  board: BlockBoard
  /** Who gives content, by peer. */
  providers: ReadonlyMap<string, Provider>
  /** Who of them fetches it too, and what each has. */
  members: ReadonlyMap<string, BlockSet>
  /** Whether nothing has come for a while. */
  stands(): boolean
}

/** Who is asked for what: the owner for as little as others can give, each other for what is rarest. */
export class BlockPicker {
  readonly #parts: BlockPickerParts
  readonly #begun = performance.now()

  constructor(parts: BlockPickerParts) {
    this.#parts = parts
  }

  /** What this provider is asked for next. */
  pick(provider: Provider): number | undefined {
    if (this.#parts.board.left === 0) return undefined
    const view = this.#view()
    if (!provider.origin) return rarest(view, this.#open(provider))
    if (view.members.size === 0) return first(this.#open(provider))
    for (const block of this.#open(provider)) {
      if (holders(view, block) === 0 && isOurs(view, block)) return block
    }
    if (!this.#parts.stands()) return undefined
    // Whoever was to fetch the rest does not: better twice than never.
    return rarest(view, this.#open(provider))
  }

  /**
   * Takes what this provider is asked for next.
   *
   * @param most - bytes that one that nobody else competes with is asked for as one
   */
  choose(provider: Provider, most: number): Chosen | undefined {
    const { board, members } = this.#parts
    const first = this.pick(provider)
    if (first === undefined) return undefined
    const blocks = [first]
    const pieces = [...board.pieces(first)]
    let bytes = bytesOf(pieces)
    // In the order in which they lie: they are one read there and one write here.
    while (board.isMissing(first) && provider.origin && members.size === 0) {
      const next = blocks.at(-1)! + 1
      if (!board.isMissing(next) || provider.has?.has(next) === false) break
      const more = board.pieces(next)
      if (bytes + bytesOf(more) > most) break
      blocks.push(next)
      pieces.push(...more)
      bytes += bytesOf(more)
    }
    for (const block of blocks) board.fly(block)
    return { blocks, pieces: joined(pieces), bytes }
  }

  /** Bytes asked for and not yet here. */
  windowBytes(provider: Provider): number {
    const { sharedWindowBytes, sharedWindowMs, windowBytes } = TRANSFER
    if (!provider.origin) return windowBytes
    // Small as long as others ask for the same, or may, of whom nothing is known yet.
    if (this.#parts.members.size > 0) return sharedWindowBytes
    const early = this.#parts.shared && performance.now() - this.#begun < TRANSFER.rescueMs
    if (!early) return windowBytes
    return Math.min(windowBytes, Math.max(sharedWindowBytes, provider.rate * sharedWindowMs))
  }

  /** Who fetches too, and gives: what others only say that they have is asked for elsewhere. */
  #view(): SwarmView {
    const members = new Map<string, BlockSet>()
    for (const [peer, has] of this.#parts.members) {
      if (this.#parts.providers.get(peer)?.late !== true) members.set(peer, has)
    }
    return { self: this.#parts.self, members }
  }

  /** Blocks that this provider has and that nobody is asked for; then those that others are late with. */
  *#open(provider: Provider): Generator<number> {
    const has = (block: number) => provider.has === undefined || provider.has.has(block)
    yield* this.#parts.board.missing(has)
    if (provider.late) return
    for (const other of this.#parts.providers.values()) {
      if (other === provider || !other.late) continue
      for (const { blocks } of other.flying) {
        for (const block of blocks) if (has(block) && this.#isLate(block)) yield block
      }
    }
  }

  /** Whether all that are asked for a block give nothing. */
  #isLate(block: number): boolean {
    const { board, providers } = this.#parts
    return (
      board.isFlying(block) &&
      providers.values().every((provider) => provider.late || !provider.asksFor(block))
    )
  }
}

function first(blocks: Iterable<number>): number | undefined {
  for (const block of blocks) return block
  return undefined
}
