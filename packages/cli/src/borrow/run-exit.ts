import type { JobSummary } from '@manyhands/client'
import { ERRORS, EXIT } from '@manyhands/core'

/** What failures were seen, for the exit code. */
export interface FailureTally {
  failed: number
  timedOut: number
}

/**
 * The exit code of a job that has ended: 3 when a part of it can be used, 124 when nothing but time
 * was missing, else what the job's own error says, else 1.
 */
export function runExitCode(
  summary: Pick<JobSummary, 'phase' | 'counts' | 'error'>,
  tally: FailureTally,
): number {
  const { phase, counts, error } = summary
  if (phase === 'completed' && counts.failed === 0 && counts.canceled === 0) return EXIT.ok
  if (counts.completed > 0 && counts.failed > 0) return EXIT.someTasksFailed
  if (tally.failed > 0 && tally.timedOut === tally.failed) return EXIT.timeout
  if (error !== undefined && error.code !== 'JOB_FAILED') return ERRORS[error.code].exit
  return EXIT.jobFailed
}
