/** The last so many durations, ms. */
export class RecentDurations {
  readonly #most: number
  readonly #ring: number[] = []
  #next = 0
  #sorted: number[] | undefined

  constructor(most: number) {
    this.#most = most
  }

  add(ms: number): void {
    this.#ring[this.#next] = ms
    this.#next = (this.#next + 1) % this.#most
    this.#sorted = undefined
  }

  /** Undefined when there are none. */
  get median(): number | undefined {
    return medianOf(this.#inOrder)
  }

  /** How much longer those took that took longer than this: their median; undefined when none did. */
  beyond(ms: number): number | undefined {
    const median = medianOf(this.#inOrder.filter((duration) => duration > ms))
    return median === undefined ? undefined : median - ms
  }

  get #inOrder(): number[] {
    this.#sorted ??= this.#ring.toSorted((a, b) => a - b)
    return this.#sorted
  }
}

function medianOf(sorted: number[]): number | undefined {
  if (sorted.length === 0) return undefined
  const middle = sorted.length >> 1
  const upper = sorted[middle]!
  return sorted.length % 2 === 1 ? upper : (sorted[middle - 1]! + upper) / 2
}
