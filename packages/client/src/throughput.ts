/** How far back a rate looks, ms. */
const WINDOW_MS = 30_000
const BUCKET_MS = 500

/** Ends per second over the last half minute, in constant memory. */
export class Throughput {
  readonly #now: () => number
  readonly #startedAt: number
  #buckets: { at: number; count: number }[] = []

  /** @param now - monotonic clock, ms */
  constructor(now: () => number) {
    this.#now = now
    this.#startedAt = now()
  }

  add(): void {
    const at = Math.floor(this.#now() / BUCKET_MS) * BUCKET_MS
    const last = this.#buckets.at(-1)
    if (last?.at === at) last.count += 1
    else this.#buckets.push({ at, count: 1 })
    this.#forget()
  }

  /** Per second. */
  get rate(): number {
    this.#forget()
    const now = this.#now()
    const spanMs = Math.max(BUCKET_MS, Math.min(WINDOW_MS, now - this.#startedAt))
    const count = this.#buckets.reduce((sum, bucket) => sum + bucket.count, 0)
    return (count * 1000) / spanMs
  }

  #forget(): void {
    const oldest = this.#now() - WINDOW_MS
    while (this.#buckets[0] !== undefined && this.#buckets[0].at < oldest) this.#buckets.shift()
  }
}
