import type { Logger } from '@manyhands/core'
import type { Attempt } from './attempt.ts'
import type { AttemptControl } from './attempt-control.ts'
import type { PolicyOptions, UsageVerdict } from './policy.ts'
import type { UsageSample } from './usage-totals.ts'

/** Longest reason that is told to a client. */
const REASON_CHARACTERS = 1000

/** Asks the owner's rule about one sample, and does what it says. A rule that fails says nothing. */
export function applyUsageRule(
  by: { policy: PolicyOptions; control: AttemptControl; logger: Logger },
  attempt: Attempt,
  sample: UsageSample,
): void {
  const { policy, control, logger } = by
  if (policy.onUsage === undefined) return
  const warn = (cause: unknown) =>
    logger.warn('policy.onUsage failed', { attempt: attempt.id, cause: String(cause) })
  let verdict: unknown
  try {
    verdict = policy.onUsage({ ...sample })
  } catch (cause) {
    warn(cause)
    return
  }
  if (verdict instanceof Promise) verdict.catch(warn)
  if (!isVerdict(verdict)) return
  const reason = verdict.reason.slice(0, REASON_CHARACTERS)
  if (verdict.action === 'kill') attempt.intend({ phase: 'evicted', by: 'host', reason })
  // What stands still already need not be told so every second.
  else if (!attempt.pauses.has('owner')) control.pause(attempt, 'owner', reason).catch(warn)
}

function isVerdict(value: unknown): value is UsageVerdict {
  const { action, reason } = (value ?? {}) as Partial<UsageVerdict>
  return (action === 'pause' || action === 'kill') && typeof reason === 'string'
}
