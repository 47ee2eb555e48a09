/** The longest time that a timer takes. */
const TIMER_MAX_MS = 2 ** 31 - 1

/** One timer that stands still while what it watches does. Keeps no process alive. */
export class PausableTimer {
  #timer: NodeJS.Timeout | undefined
  #call: (() => void) | undefined
  #leftMs = 0
  #sinceMs = 0
  #paused = false

  /** Replaces what was running. */
  start(ms: number, call: () => void): void {
    clearTimeout(this.#timer)
    this.#call = call
    this.#leftMs = ms
    this.#arm()
  }

  pause(): void {
    if (this.#paused) return
    this.#paused = true
    clearTimeout(this.#timer)
    this.#leftMs -= performance.now() - this.#sinceMs
  }

  resume(): void {
    if (!this.#paused) return
    this.#paused = false
    this.#arm()
  }

  cancel(): void {
    clearTimeout(this.#timer)
    this.#call = undefined
  }

  #arm(): void {
    this.#sinceMs = performance.now()
    const call = this.#call
    if (call === undefined || this.#paused) return
    this.#timer = setTimeout(call, Math.min(Math.max(0, this.#leftMs), TIMER_MAX_MS))
    this.#timer.unref()
  }
}
