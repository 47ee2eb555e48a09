import type { Checkpoint, TaskPhase, WireInput } from '@manyhands/core'
import type { HeldAt } from './result-rows.ts'

/** A task that is not over, as the journal has it. */
export interface TaskRow {
  index: number
  key: string
  /** JSON of the item. */
  item: string
  /** JSON of what it says differently from its job; undefined: what the job's templates say. */
  overrides: string | undefined
  phase: TaskPhase
  epoch: number
  dispatches: number
  failures: number
  /**
   * Attempts that may still be somewhere, their inputs where some come from other tasks, and the checkpoint
   * that they began with. Those that were lost come first: a late result may still win.
   */
  live: [
    epoch: number,
    host: string,
    inputs?: WireInput[] | null,
    restore?: Checkpoint | null,
    lost?: 'lost',
  ][]
  /** Its place in the line, from 1; grows by one for every task of the job that may run. */
  turn: number
}

/** A task as it is read from its source. */
export interface NewTask {
  index: number
  key: string
  item: string
  overrides: string | undefined
  /** Keys of the tasks that have to complete first, each once. */
  needs: string[]
  /** Those of them whose outputs it takes. */
  takes: string[]
  /** What is wrong with it, as JSON of a result: then it has failed before it began. */
  failed?: string
}

/**
 * The tasks of all jobs: the line in which they wait, and what became of each. Its epoch is here before
 * an attempt leaves, and its result before the host is told that it may forget. Accepting a result twice
 * is impossible: one row per task, and only a row that is not over changes.
 */
export interface TaskRows {
  /**
   * Takes tasks in; those that need nothing get a place in the line, and are answered. Inside a transaction of
   * the journal.
   */
  insert(job: string, tasks: NewTask[]): TaskRow[]
  /** Parts of a range that were cut for a host; those that are there already stay. Inside a transaction. */
  insertCut(job: string, tasks: Pick<NewTask, 'index' | 'key' | 'item'>[]): void
  has(job: string, key: string): boolean
  phaseOf(job: string, key: string): TaskPhase | undefined
  /** How many were read from the source. */
  read(job: string): number
  /** A task that is not over. */
  open(job: string, key: string): TaskRow | undefined
  /** Tasks in the line that wait, after a place. */
  waiting(job: string, after: number, limit: number): TaskRow[]
  /** The last place of the line. */
  lastTurn(job: string): number
  /** Keys and places in the input of tasks that were never sent out, those that wait for others too. */
  queued(job: string, limit: number): { index: number; key: string }[]
  /** Tasks that were sent out and are not over. */
  out(job: string): TaskRow[]
  /** Before the offer leaves. Inside a transaction of the journal. */
  dispatched(
    job: string,
    tasks: Pick<TaskRow, 'key' | 'epoch' | 'dispatches' | 'failures' | 'live'>[],
  ): void
  /**
   * Accepts ends in one transaction, with which tasks that others were quicker with are no tasks any more.
   * Resolves with those that were accepted, and whether tasks that needed them now stand in the line.
   */
  accept(
    job: string,
    ends: AcceptedEnd[],
    outrun?: string[],
  ): Promise<{ accepted: boolean[]; woken: boolean }>
  /**
   * Failed tasks wait again, and those that were canceled because a task that they need did not complete;
   * answers how many. Inside a transaction of the journal.
   */
  retry(job: string): number
  /** Failed parts of a range are no tasks any more: they are cut anew. Inside a transaction of the journal. */
  dropFailed(job: string): { key: string; item: string }[]
  /** A task, whatever became of it. */
  get(job: string, key: string): TaskRow | undefined
  /**
   * A result does not count any more: its task waits again, for a host or for those that it needs, and so do
   * those that take of it and were not sent out. Resolves false when it had no result.
   */
  retract(job: string, key: string): Promise<boolean>
  /** A task that was sent out waits again, for those that it needs or for a host. */
  requeue(job: string, task: Pick<TaskRow, 'key' | 'dispatches' | 'failures'>): Promise<void>
  /** Tasks that were cut, and that others have now. */
  drop(job: string, keys: string[]): Promise<void>
  /** All tasks of a job that was cut so far. */
  cut(job: string): Pick<TaskRow, 'index' | 'key' | 'item' | 'phase' | 'live'>[]
  /** How many of the tasks that it needs have not completed. */
  unmet(job: string, key: string): number
}

export interface AcceptedEnd {
  key: string
  phase: TaskPhase
  document: string
  outputs: string | undefined
  held?: HeldAt
  /** Asked when it is written: whether it is still wanted. */
  when?: () => boolean
  /** Of a part of a range: where it stands in the input, and what it is in the end. */
  index?: number
  item?: string
}
