import type { WireInput } from '@manyhands/core'

/** Inputs that have come to a simulated host. */
export class InputShelf {
  readonly #roots = new Set<string>()

  /** Bytes of those that are not there yet; from now on they are. */
  missing(inputs: WireInput[]): number {
    let bytes = 0
    for (const { root, bytes: size = 0 } of inputs) {
      if (this.#roots.has(root)) continue
      this.#roots.add(root)
      bytes += size
    }
    return bytes
  }
}
