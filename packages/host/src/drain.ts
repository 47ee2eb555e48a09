import { type Duration, ManyhandsError, parseDuration } from '@manyhands/core'

/** The longest time that a timer can wait, ms: about 24 days. */
const TIMER_MAX_MS = 2 ** 31 - 1

/** The end of a drain: when the rest is evicted. A nearer deadline replaces a farther one, never the other way. */
export class DrainDeadline {
  readonly #evict: (reason: string) => void
  #at = Number.POSITIVE_INFINITY
  #timer: NodeJS.Timeout | undefined

  constructor(evict: (reason: string) => void) {
    this.#evict = evict
  }

  /** @throws USAGE for what is no duration */
  shorten(deadline: Duration | 'never', reason: string): void {
    const at = deadline === 'never' ? Number.POSITIVE_INFINITY : performance.now() + ms(deadline)
    if (at >= this.#at) return
    this.#at = at
    this.#wait(reason)
  }

  cancel(): void {
    clearTimeout(this.#timer)
  }

  #wait(reason: string): void {
    clearTimeout(this.#timer)
    const left = this.#at - performance.now()
    this.#timer = setTimeout(
      () => (left > TIMER_MAX_MS ? this.#wait(reason) : this.#evict(reason)),
      Math.min(left, TIMER_MAX_MS),
    )
    this.#timer.unref()
  }
}

function ms(deadline: Duration): number {
  try {
    return parseDuration(deadline, 'deadline')
  } catch (cause) {
    throw new ManyhandsError('USAGE', `${(cause as Error).message}; or 'never'`, { cause })
  }
}
