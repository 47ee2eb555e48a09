import { type ErrorDocument, ManyhandsError } from '@manyhands/core'
import type { JobSummary } from './job.ts'

/**
 * What `client.run` rejects with when a job did not complete. `code` is the reason of the job as a
 * whole: `JOB_FAILED` when tasks failed, else for example `NO_HOSTS` or `IMAGE_NOT_FOUND`.
 */
export class JobFailedError extends ManyhandsError {
  override readonly name = 'JobFailedError'
  readonly summary: JobSummary

  constructor(error: ErrorDocument, summary: JobSummary) {
    super(error.code, error.message, {
      hint: error.hint,
      details: { ...error.details, job: summary.id, counts: summary.counts },
    })
    this.summary = summary
  }
}
