import { type ArtifactStore, type Clock, ManyhandsError } from '@manyhands/core'
import type { JobHooks } from '../job-document.ts'
import type { JobTasks } from '../job-tasks.ts'
import type { ClientJournal } from '../journal/client-journal.ts'
import type { JobRow } from '../journal/job-rows.ts'
import { storedResult } from '../stored-result.ts'
import { NO_OUTPUTS, storedOutputs } from '../task-outputs.ts'
import { type CheckingParts, JobChecking, type JobCheckingParts } from './job-checking.ts'
import { ResultRevision } from './result-revision.ts'

export interface OpenCheckingParts
  extends Pick<JobCheckingParts, 'tell' | 'ready' | 'settled' | 'dropped' | 'over'> {
  journal: ClientJournal
  store: ArtifactStore
  clock: Clock
  hooks: JobHooks
  checking: CheckingParts
  tasks: JobTasks
}

/** The checks of one job, where the journal has them. Undefined where none are asked for. */
export function openChecking(
  { id, document }: JobRow,
  { checking, tasks, ...parts }: OpenCheckingParts,
): JobChecking | undefined {
  if (document.verify === undefined) return undefined
  const { journal, store } = parts
  return new JobChecking({
    ...checking,
    ...parts,
    job: id,
    document,
    rows: journal.checks,
    revision: new ResultRevision({ job: id, journal, undone: tasks.undone }),
    resultOf: async (key) => {
      const row = journal.results.of(id, key)
      if (row === undefined) throw new ManyhandsError('NOT_FOUND', `task ${key} has no result`)
      const { outputs } = row
      const stored = outputs === undefined ? NO_OUTPUTS : await storedOutputs(store, outputs)
      return storedResult(id, row, stored)
    },
    replica: (key, n) => tasks.replica(key, n),
    attemptsAt: (host) => tasks.attemptsAt.get(host) ?? 0,
  })
}
