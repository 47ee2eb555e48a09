import { LIMITS } from '@manyhands/core'
import type { Attempt } from './attempt.ts'

/**
 * Tells how far the transfers are for which attempts wait, while there are any: at most four times a
 * second for each, and only when that has changed. A stall is told as well, since the rate sinks.
 */
export class StagingNews {
  readonly #tell: (attempt: Attempt) => void
  /** What was told of each attempt that waits. */
  readonly #watched = new Map<Attempt, string>()
  #timer: NodeJS.Timeout | undefined

  constructor(tell: (attempt: Attempt) => void) {
    this.#tell = tell
  }

  /** Follows an attempt's transfer until the function it returns is called. */
  watch(attempt: Attempt): () => void {
    this.#watched.set(attempt, '')
    this.#timer ??= setInterval(() => this.#look(), LIMITS.progressMs).unref()
    return () => {
      this.#watched.delete(attempt)
      if (this.#watched.size > 0) return
      clearInterval(this.#timer)
      this.#timer = undefined
    }
  }

  #look(): void {
    for (const [attempt, told] of this.#watched) {
      const now = JSON.stringify(attempt.transfer?.())
      if (now === told) continue
      this.#watched.set(attempt, now)
      this.#tell(attempt)
    }
  }
}
