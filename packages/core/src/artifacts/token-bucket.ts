/** Seconds' worth that may go at once after a pause: no second sees much more than its rate. */
const BURST_S = 0.25

/**
 * Bytes that may go now, filled at a rate. What is larger than the bucket goes when it is full and
 * leaves a debt, so that the rate holds for pieces of any size.
 */
export class TokenBucket {
  #rate: number
  #level: number
  #filledAt: number

  /**
   * @param rate - bytes per second, above 0; Infinity: no limit
   * @param now - monotonic, ms, as everywhere here
   */
  constructor(rate: number, now: number) {
    this.#rate = rate
    this.#level = rate * BURST_S
    this.#filledAt = now
  }

  /** As full, or as deep in debt, as before in seconds: a debt at a slow rate is not one at a fast one. */
  setRate(rate: number, now: number): void {
    if (rate === this.#rate) return
    const limited = Number.isFinite(this.#rate) && Number.isFinite(rate)
    this.#fill(now)
    this.#level = limited ? (this.#level / this.#rate) * rate : rate * BURST_S
    this.#rate = rate
  }

  /** Milliseconds until `bytes` may go; 0: now. */
  waitMs(bytes: number, now: number): number {
    this.#fill(now)
    const needed = Math.min(bytes, this.#rate * BURST_S)
    return this.#level >= needed ? 0 : ((needed - this.#level) / this.#rate) * 1000
  }

  spend(bytes: number, now: number): void {
    this.#fill(now)
    this.#level -= bytes
  }

  /** Whether it is as a new one would be. */
  full(now: number): boolean {
    this.#fill(now)
    return this.#level >= this.#rate * BURST_S
  }

  #fill(now: number): void {
    const passedMs = now - this.#filledAt
    this.#filledAt = now
    if (!Number.isFinite(this.#rate) || passedMs <= 0) return
    this.#level = Math.min(this.#rate * BURST_S, this.#level + (passedMs / 1000) * this.#rate)
  }
}
