import type { JobRun } from './job-run.ts'
import type { Task } from './task.ts'

/** Hosts that have to say the same where results are checked. */
const BELIEVED = 2

/** How often a task's own failure may end an attempt of it. */
export function failuresOf({ document }: Pick<JobRun, 'document'>, task: Task): number {
  const { failures, verify } = document
  // One host that says so is not enough where none is believed; of a check, others are asked.
  if (task.checks) return 1
  return verify === undefined ? failures : Math.max(failures, BELIEVED)
}

/** Whether a host's word that a task fails adds to what others have said; it is remembered. */
export function isWitness(
  { checking }: Pick<JobRun, 'checking'>,
  task: Task,
  host: string,
): boolean {
  if (checking === undefined) return true
  const adds = checking.areApart(host, task.failedAt)
  task.failedAt.add(host)
  return adds
}
