/** Measurements that count: a single one may have waited for a busy process, the least of some did not. */
const SAMPLES = 8

/** How long a word to a host and back takes. */
export class RoundTrip {
  readonly #samples: number[] = []

  add(ms: number): void {
    this.#samples.push(ms)
    if (this.#samples.length > SAMPLES) this.#samples.shift()
  }

  /** Milliseconds; undefined before it was measured. */
  get ms(): number | undefined {
    return this.#samples.length === 0 ? undefined : Math.min(...this.#samples)
  }
}
