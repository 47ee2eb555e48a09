import { ManyhandsError } from './errors.ts'

/** Life of a job. */
export type JobPhase = 'queued' | 'running' | 'paused' | 'completed' | 'failed' | 'canceled'
/** Life of a task, as the client's journal has it. */
export type TaskPhase = 'queued' | 'running' | 'completed' | 'failed' | 'canceled'
/** Life of one run of a task on one host. */
export type AttemptPhase =
  | 'offered'
  | 'staging'
  | 'running'
  | 'paused'
  | 'collecting'
  | 'completed'
  | 'failed'
  | 'canceled'
  | 'lost'
  | 'evicted'

type Table<Phase extends string> = { readonly [From in Phase]: readonly Phase[] }

/** Legal transitions. What is not in a table throws. Terminal phases have an empty row. */
export const JOB_TRANSITIONS: Table<JobPhase> = {
  queued: ['running', 'paused', 'completed', 'failed', 'canceled'],
  running: ['paused', 'completed', 'failed', 'canceled'],
  paused: ['queued', 'running', 'completed', 'failed', 'canceled'],
  completed: [],
  // `job.retry({ failed: true })` takes failed tasks up again as new work of the same job.
  failed: ['running'],
  canceled: [],
}

export const TASK_TRANSITIONS: Table<TaskPhase> = {
  queued: ['running', 'failed', 'canceled'],
  // Back to queued: the attempt ended without acceptance.
  running: ['queued', 'completed', 'failed', 'canceled'],
  completed: [],
  failed: ['queued'],
  canceled: [],
}

const ENDS = ['failed', 'canceled', 'lost', 'evicted'] as const

export const ATTEMPT_TRANSITIONS: Table<AttemptPhase> = {
  offered: ['staging', ...ENDS],
  staging: ['running', ...ENDS],
  running: ['paused', 'collecting', ...ENDS],
  paused: ['running', 'collecting', ...ENDS],
  collecting: ['completed', ...ENDS],
  completed: [],
  failed: [],
  canceled: [],
  // A host that comes back before acceptance is attached again.
  lost: ['running', 'completed', 'failed', 'canceled', 'evicted'],
  evicted: [],
}

const TABLES = { job: JOB_TRANSITIONS, task: TASK_TRANSITIONS, attempt: ATTEMPT_TRANSITIONS }

/**
 * Checks one step of a state machine.
 *
 * @throws INTERNAL when the table does not have it: a defect of ours, never of the caller
 */
export function assertTransition<Kind extends keyof typeof TABLES>(
  kind: Kind,
  from: keyof (typeof TABLES)[Kind],
  to: keyof (typeof TABLES)[Kind],
  subject: string,
): void {
  const allowed = (TABLES[kind] as Table<string>)[from as string]
  if (allowed === undefined || !allowed.includes(to as string)) {
    throw new ManyhandsError(
      'INTERNAL',
      `${kind} ${subject} cannot go from ${String(from)} to ${String(to)}`,
    )
  }
}

/** Whether nothing comes after this phase. */
export function isTerminal(phase: AttemptPhase | TaskPhase | JobPhase): boolean {
  return ['completed', 'failed', 'canceled', 'lost', 'evicted'].includes(phase)
}
