import { hash } from 'node:crypto'

export const DIGEST_BYTES = 32

/**
 * A hash tree as in RFC 6962: a leaf is SHA-256 of 0x00 and what it stands for, a node SHA-256 of 0x01 and its
 * two parts, of which the left one is the largest power of two below the whole.
 */
export interface MerkleTree {
  root: Uint8Array
  /** For each leaf the hashes beside its way to the root, from the leaf on, one after another. */
  paths: Uint8Array[]
}

/** Before what a leaf stands for, when that is hashed. */
export const LEAF = Uint8Array.of(0)

/** The hash of what a leaf stands for. */
export function leafOf(content: Uint8Array): Uint8Array {
  return hash('sha256', Buffer.concat([LEAF, content]), 'buffer')
}

/** @param leaves - at least one */
export function merkleTree(leaves: readonly Uint8Array[]): MerkleTree {
  const beside: Uint8Array[][] = leaves.map(() => [])
  const build = (from: number, to: number): Uint8Array => {
    if (to - from === 1) return leaves[from]!
    const middle = from + leftOf(to - from)
    const [left, right] = [build(from, middle), build(middle, to)]
    for (let at = from; at < to; at += 1) beside[at]!.push(at < middle ? right : left)
    return nodeOf(left, right)
  }
  const root = build(0, leaves.length)
  return { root, paths: beside.map((hashes) => Buffer.concat(hashes)) }
}

/** One step on the way from the root to a leaf. */
export interface MerkleStep {
  /** The node that is divided. */
  from: number
  to: number
  /** Whether the way goes on in its left part. */
  isLeft: boolean
  /** The part beside the way. */
  otherFrom: number
  otherTo: number
}

/** The way from the root to the leaf at a place; undefined when there is no such place. */
export function wayTo(at: number, size: number): MerkleStep[] | undefined {
  if (!(at >= 0 && at < size)) return undefined
  const way: MerkleStep[] = []
  let [from, to] = [0, size]
  while (to - from > 1) {
    const middle = from + leftOf(to - from)
    const isLeft = at < middle
    const [otherFrom, otherTo] = isLeft ? [middle, to] : [from, middle]
    way.push({ from, to, isLeft, otherFrom, otherTo })
    if (isLeft) to = middle
    else from = middle
  }
  return way
}

/** The root that a leaf and its path lead to; undefined when the path is not as long as its place wants. */
export function rootFrom(
  leaf: Uint8Array,
  { at, size, path }: { at: number; size: number; path: Uint8Array },
): Uint8Array | undefined {
  const way = wayTo(at, size)
  if (way === undefined || path.length !== way.length * DIGEST_BYTES) return undefined
  return way.reduceRight((node, { isLeft }, step) => {
    const start = (way.length - 1 - step) * DIGEST_BYTES
    const other = path.subarray(start, start + DIGEST_BYTES)
    return isLeft ? nodeOf(node, other) : nodeOf(other, node)
  }, leaf)
}

const joined = new Uint8Array(1 + 2 * DIGEST_BYTES)
joined[0] = 1

export function nodeOf(left: Uint8Array, right: Uint8Array): Uint8Array {
  joined.set(left, 1)
  joined.set(right, 1 + DIGEST_BYTES)
  return hash('sha256', joined, 'buffer')
}

/** How many leaves are in the left part of so many. */
function leftOf(count: number): number {
  return 2 ** (31 - Math.clz32(count - 1))
}
