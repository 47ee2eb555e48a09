/** Time constant of the smoothing, ms: what was three times as long ago hardly counts. */
const SMOOTHING_MS = 3_000
/** Pieces that come closer together count as one: the rate of a millisecond is none. */
const STEP_MS = 100
/** The longest wait for a piece that passes as usual; beyond the usual wait the rate sinks. */
const USUAL_MS = 10_000
/** Slower than this stands still, bytes per second. */
const LEAST = 1

/**
 * How fast something moves, bytes per second, smoothed over about three seconds.
 *
 * Bytes count as having come evenly since those before them; so a link that delivers 4 MiB every two
 * seconds has a steady rate, and not one that jumps with each piece. When nothing comes for longer than it
 * did last time, the rate sinks towards 0, which it reaches after about a minute.
 */
export class TransferRate {
  readonly #now: () => number
  /** When bytes were last counted in, and how long after those before. */
  #at: number
  #stepMs = STEP_MS
  /** Came after that. */
  #pending = 0
  /** Decayed sum, and the decayed weight of all that is in it: 0 before the first bytes. */
  #sum = 0
  #weight = 0

  /** @param now - monotonic clock, ms. What moves begins to move now. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now
    this.#at = now()
  }

  add(bytes: number): void {
    this.#pending += bytes
    const now = this.#now()
    const stepMs = now - this.#at
    if (stepMs < STEP_MS) return
    const kept = Math.exp(-stepMs / SMOOTHING_MS)
    this.#sum = this.#sum * kept + ((this.#pending * 1000) / stepMs) * (1 - kept)
    this.#weight = this.#weight * kept + (1 - kept)
    this.#pending = 0
    this.#at = now
    this.#stepMs = stepMs
  }

  /** Bytes per second; 0 when it is not known yet, and when nothing moves. */
  get perSecond(): number {
    if (this.#weight === 0) return 0
    const lateMs = this.#now() - this.#at - Math.min(this.#stepMs, USUAL_MS)
    const rate = (this.#sum / this.#weight) * Math.exp(-Math.max(0, lateMs) / SMOOTHING_MS)
    return rate < LEAST ? 0 : rate
  }

  /** Milliseconds until so many more bytes have come, ≥ 0; undefined while nothing moves. */
  remainingMs(bytes: number): number | undefined {
    if (bytes <= 0) return 0
    const rate = this.perSecond
    return rate === 0 ? undefined : Math.round((bytes * 1000) / rate)
  }
}
