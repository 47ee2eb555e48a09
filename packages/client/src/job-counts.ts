import { isTerminal } from '@manyhands/core'
import type { JobCounts } from './job-progress.ts'
import type { ClientJournal } from './journal/client-journal.ts'
import type { JobRow } from './journal/job-rows.ts'

export type TaskEnd = 'completed' | 'failed' | 'canceled'

/** How many tasks of a job have ended how, by its journal; of a range that is cut, how many numbers. */
export function endedCounts(
  row: Pick<JobRow, 'id' | 'document' | 'phase'>,
  { results }: Pick<ClientJournal, 'results'>,
): Record<TaskEnd, number> {
  const { split, total = 0 } = row.document
  const counts = split ? results.cutCounts(row.id) : results.counts(row.id)
  const { completed = 0, failed = 0, canceled = 0 } = counts
  const ended = { completed, failed, canceled }
  // What was never cut has ended with its job.
  if (split && (row.phase === 'canceled' || row.phase === 'failed')) {
    ended[row.phase] += total - completed - failed - canceled
  }
  return ended
}

/** The counts of a job of which nothing is in memory. */
export function journaledCounts(row: JobRow, journal: ClientJournal): JobCounts {
  const { document, sourceDone, id, phase } = row
  const ended = endedCounts(row, journal)
  const over = ended.completed + ended.failed + ended.canceled
  const { queued = 0, running = 0 } = document.split ? {} : journal.results.counts(id)
  const read = queued + running + over
  const total = sourceDone ? read : document.total
  const unread = isTerminal(phase) ? 0 : Math.max(0, (total ?? read) - read)
  return { queued: queued + unread, running, ...ended, ...(total === undefined ? {} : { total }) }
}
