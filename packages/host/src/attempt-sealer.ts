import { setTimeout as delay } from 'node:timers/promises'
import {
  type AttemptEnd,
  type AttemptPhase,
  encodedDocument,
  type Logger,
  ManyhandsError,
  toManyhandsError,
} from '@manyhands/core'
import type { Attempt } from './attempt.ts'
import { endedFromOutside } from './attempt-end.ts'
import type { HostJournal } from './host-journal.ts'
import type { ReceiptDesk } from './receipt-desk.ts'
import type { EndPhase } from './usage-account.ts'
import type { UsageLedger } from './usage-ledger.ts'

/** How long a full disk is waited for with an end, and how often it is tried, ms. */
const PATIENCE_MS = 30_000
const AGAIN_MS = 500

export interface AttemptSealerOptions {
  journal: HostJournal
  usage: UsageLedger
  receipts: ReceiptDesk
  logger: Logger
}

/**
 * Makes ends durable before they are announced. A success that cannot be made durable is none: when the
 * disk stays full it is the host's fault, and the task goes elsewhere.
 */
export class AttemptSealer {
  readonly #options: AttemptSealerOptions

  constructor(options: AttemptSealerOptions) {
    this.#options = options
  }

  /** Returns the phase that was sealed. Does not reject. */
  async seal(attempt: Attempt, end: AttemptEnd): Promise<AttemptPhase> {
    const { journal, usage, receipts, logger } = this.#options
    const begunAt = performance.now()
    let counted: Promise<void> | undefined
    for (;;) {
      // Asked anew each time: the owner may end it while the disk is waited for.
      const phase = endedFromOutside(attempt, end)
      attempt.end = end
      try {
        await receipts.sign(attempt, phase, end)
        const document = encodedDocument(end)
        attempt.sealedEnd = document
        const sealed = journal.sealed(attempt.id, phase, document.bytes)
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
        attempt.sealedEnd = undefined
        end.outputs = undefined
        end.error = new ManyhandsError(
          'DISK_FULL',
          `the result could not be kept: ${message}`,
        ).toJSON()
        await receipts.sign(attempt, 'failed', end)
        return 'failed'
      }
    }
  }
}
