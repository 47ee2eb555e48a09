import { setImmediate } from 'node:timers/promises'

/** How long a piece of long work may keep everything else waiting, ms. */
const TURN_MS = 8

/** Files or paths between two places where work yields: less than a millisecond. */
export const ITEMS_PER_TURN = 256

/** Long work that can be interrupted wherever it yields, which it does at least every millisecond. */
export type Work<Result> = Generator<void, Result, void>

/**
 * Does long work in turns with everything else of this thread, so that messages are answered meanwhile.
 *
 * @throws what the work throws, or the signal's reason
 */
export async function inTurns<Result>(work: Work<Result>, signal?: AbortSignal): Promise<Result> {
  for (;;) {
    const end = performance.now() + TURN_MS
    do {
      const { done, value } = work.next()
      if (done === true) return value
    } while (performance.now() < end)
    await setImmediate()
    signal?.throwIfAborted()
  }
}

/** Does work that is known to be short without an interruption. */
export function atOnce<Result>(work: Work<Result>): Result {
  for (;;) {
    const { done, value } = work.next()
    if (done === true) return value
  }
}
