/** Entries in one go: less than a millisecond. */
const SLICE_ENTRIES = 128
/** After this long a walk hurries: somebody waits for it. */
const PATIENCE_MS = 2_000
const REST_MOST_MS = 50

/**
 * Lets a walk through many files rest in between, so that neither this process nor whoever shares a core
 * with it waits for the whole walk. Few entries are walked at once.
 */
export class WalkPace {
  readonly #duty: { first: number; late: number }
  readonly #started = performance.now()
  #begun = this.#started
  #entries = 0

  /** @param duty the share of a core that the walk takes in its first 2 s, and after that */
  constructor(duty: { first: number; late: number }) {
    this.#duty = duty
  }

  /** To be called for each entry; a promise when it is time to rest. */
  step(): Promise<void> | undefined {
    this.#entries += 1
    return this.#entries % SLICE_ENTRIES === 0 ? this.#rest() : undefined
  }

  async #rest(): Promise<void> {
    const patient = this.#begun - this.#started < PATIENCE_MS
    const duty = patient ? this.#duty.first : this.#duty.late
    const ms = Math.min(REST_MOST_MS, (performance.now() - this.#begun) * (1 / duty - 1))
    // A timer has no finer clock; what it rests too much is not much.
    if (ms < 0.5) await new Promise((resolve) => setImmediate(resolve))
    else await new Promise((resolve) => setTimeout(resolve, ms))
    this.#begun = performance.now()
  }
}
