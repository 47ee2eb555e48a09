import { TRANSFER } from '../artifacts/transfer-limits.ts'
import type { BlockSet } from './block-set.ts'

/** Who else fetches the artifact, and which blocks each of them has. */
export interface SwarmView {
  readonly self: string
  readonly members: ReadonlyMap<string, BlockSet>
}

/**
 * The peer that fetches a block from the owner, so that the owner sends it once: all peers come to the
 * same answer without a word, as long as they know of the same ones (rendezvous hashing).
 */
export function isOurs({ self, members }: SwarmView, block: number): boolean {
  const own = weight(self, block)
  for (const peer of members.keys()) {
    const theirs = weight(peer, block)
    if (theirs > own || (theirs === own && peer > self)) return false
  }
  return true
}

/** Where a peer begins: those that fetch at once begin at different places. */
export function startOf(self: string, blocks: number): number {
  return blocks === 0 ? 0 : weight(self, 0) % blocks
}

/** How many of the others have a block. */
export function holders({ members }: SwarmView, block: number): number {
  let count = 0
  for (const has of members.values()) if (has.has(block)) count += 1
  return count
}

/**
 * The rarest of the blocks that may be chosen, of those looked at first; at random among equals, so
 * that peers do not all ask for the same one.
 */
export function rarest(view: SwarmView, blocks: Iterable<number>): number | undefined {
  let best: number | undefined
  let bestCount = Number.POSITIVE_INFINITY
  let equals = 0
  let looked = 0
  for (const block of blocks) {
    const count = holders(view, block)
    if (count < bestCount) {
      best = block
      bestCount = count
      equals = 1
    } else if (count === bestCount) {
      equals += 1
      if (Math.random() * equals < 1) best = block
    }
    looked += 1
    if (looked >= TRANSFER.blocksWeighed) break
  }
  return best
}

const seeds = new Map<string, number>()

function weight(peer: string, block: number): number {
  let hash = seedOf(peer) ^ Math.imul(block + 1, 0x9e3779b1)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

function seedOf(peer: string): number {
  const known = seeds.get(peer)
  if (known !== undefined) return known
  let seed = 0x811c9dc5
  for (let index = 0; index < peer.length; index++) {
    seed = Math.imul(seed ^ peer.charCodeAt(index), 0x01000193)
  }
  if (seeds.size >= 1024) seeds.clear()
  seeds.set(peer, seed)
  return seed
}
