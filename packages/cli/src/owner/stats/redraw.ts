import { setTimeout as delay } from 'node:timers/promises'
import type { Output } from '../../output.ts'

const PERIOD_MS = 1000

/**
 * Draws what `look` says once a second, until the signal. When it cannot look any more, that ends it with
 * its error.
 */
export async function redraw(
  output: Output,
  signal: AbortSignal,
  look: () => Promise<string>,
): Promise<void> {
  try {
    while (!signal.aborted) {
      const begun = performance.now()
      output.draw(await look())
      const waitMs = Math.max(100, PERIOD_MS - (performance.now() - begun))
      await delay(waitMs, undefined, { signal })
    }
  } catch (error) {
    if (!signal.aborted) throw error
  }
  output.draw('')
}
