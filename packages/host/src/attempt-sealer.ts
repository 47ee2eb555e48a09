import { setTimeout as delay } from 'node:timers/promises'
import {
  type AttemptEnd,
  type AttemptPhase,
  type Logger,
  ManyhandsError,
  toManyhandsError,
} from '@manyhands/core'
import type { Attempt } from './attempt.ts'
import { endedFromOutside } from './attempt-end.ts'
import type { HostJournal } from './host-journal.ts'
import type { EndPhase } from './usage-account.ts'
import type { UsageLedger } from './usage-ledger.ts'

/** How long a full disk is waited for with an end, and how often it is tried, ms. */
const PATIENCE_MS = 30_000
const AGAIN_MS = 500

/**
 * Makes ends durable before they are announced. A success that cannot be made durable is none: when the
 * disk stays full it is the host's fault, and the task goes elsewhere.
 */
export class AttemptSealer {
  readonly #options: { journal: HostJournal; usage: UsageLedger; logger: Logger }

  constructor(options: { journal: HostJournal; usage: UsageLedger; logger: Logger }) {
    this.#options = options
  }

  /** Returns the phase that was sealed. Does not reject. */
  async seal(attempt: Attempt, end: AttemptEnd): Promise<AttemptPhase> {
    const { journal, usage, logger } = this.#options
    const begunAt = performance.now()
    let counted: Promise<void> | undefined
    for (;;) {
      // Asked anew each time: the owner may end it while the disk is waited for.
      const phase = endedFromOutside(attempt, end)
      attempt.end = end
      try {
        const sealed = journal.sealed(attempt.id, phase, end)
        // In one group with the end, and once.
        counted ??= usage.ended(attempt, phase as EndPhase)
        await Promise.all([sealed, counted])
        return phase
      } catch (cause) {
        logger.warn('sealing an attempt failed', { attempt: attempt.id, cause: String(cause) })
        const { code, message } = toManyhandsError(cause)
        if (code === 'DISK_FULL' && performance.now() - begunAt < PATIENCE_MS) {
          await delay(AGAIN_MS, undefined, { ref: false })
          continue
        }
        // The client is told all the same; after a restart the attempt counts as lost.
        if (phase !== 'completed') return phase
        end.outputs = undefined
        end.error = new ManyhandsError(
          'DISK_FULL',
          `the result could not be kept: ${message}`,
        ).toJSON()
        return 'failed'
      }
    }
  }
}
