const TIMER_MAX_MS = 2 ** 31 - 1

/**
 * Calls back after a run time in which pauses do not count. It stands behind the container's first
 * process, which does the same without us and comes first.
 */
export class RunClock {
  #leftMs: number
  readonly #onOver: () => void
  #since: number | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(leftMs: number, onOver: () => void) {
    this.#leftMs = leftMs
    this.#onOver = onOver
  }

  resume(): void {
    if (this.#since !== undefined) return
    this.#since = performance.now()
    if (this.#leftMs > TIMER_MAX_MS) return
    this.#timer = setTimeout(this.#onOver, Math.max(0, this.#leftMs))
    this.#timer.unref()
  }

  pause(): void {
    if (this.#since === undefined) return
    clearTimeout(this.#timer)
    this.#leftMs -= performance.now() - this.#since
    this.#since = undefined
  }
}
