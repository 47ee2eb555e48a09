import { DIGEST_BYTES, nodeOf, wayTo } from './merkle-tree.ts'

/**
 * A hash tree of which the root is known to be right. What leads to it is remembered, so that the leaves of one
 * tree together cost about one hash each and not as many as the tree is high.
 */
export class KnownTree {
  readonly #size: number
  /** Nodes that are right, by the leaves below them. */
  readonly #nodes = new Map<number, Uint8Array>()

  constructor(root: Uint8Array, size: number) {
    this.#size = size
    this.#nodes.set(placeOf(0, size), root)
  }

  /** Whether a leaf is in the tree, at this place and with all of this path. */
  holds(leaf: Uint8Array, at: number, path: Uint8Array): boolean {
    const way = wayTo(at, this.#size)
    if (way === undefined || path.length !== way.length * DIGEST_BYTES) return false
    // From the leaf up to the first node that is known.
    const found: [place: number, node: Uint8Array][] = [[placeOf(at, at + 1), leaf]]
    let node = leaf
    let step = way.length
    let [from, to] = [at, at + 1]
    for (;;) {
      const known = this.#nodes.get(placeOf(from, to))
      if (known !== undefined) {
        if (!isSame(known, node)) return false
        break
      }
      // The root is known, so there is a part above this one.
      step -= 1
      const part = way[step]!
      const other = siblingIn(path, way.length, step)
      found.push([placeOf(part.otherFrom, part.otherTo), other])
      node = part.isLeft ? nodeOf(node, other) : nodeOf(other, node)
      from = part.from
      to = part.to
      found.push([placeOf(from, to), node])
    }
    // What is beside the rest of the way was found when that was gone.
    for (; step > 0; step -= 1) {
      const part = way[step - 1]!
      const known = this.#nodes.get(placeOf(part.otherFrom, part.otherTo))
      if (known === undefined || !isSame(known, siblingIn(path, way.length, step - 1))) return false
    }
    for (const [place, hash] of found) this.#nodes.set(place, hash)
    return true
  }
}

/** No more leaves than this are in a tree, by far. */
const LEAVES = 2 ** 20
const placeOf = (from: number, to: number) => from * LEAVES + to

function siblingIn(path: Uint8Array, steps: number, step: number): Uint8Array {
  const at = (steps - 1 - step) * DIGEST_BYTES
  return path.subarray(at, at + DIGEST_BYTES)
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  for (let at = 0; at < DIGEST_BYTES; at += 1) if (a[at] !== b[at]) return false
  return true
}
