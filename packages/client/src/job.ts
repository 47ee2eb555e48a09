import type { ErrorDocument, JobPhase, TaskResult } from '@manyhands/core'
import type { JobEvent } from './job-event.ts'
import type { JobCounts, JobProgress } from './job-progress.ts'

/** A handle to a job. Dropping it changes nothing. */
export interface Job<Item = unknown> {
  readonly id: string
  readonly name: string
  readonly phase: JobPhase
  readonly counts: JobCounts
  readonly progress: JobProgress
  /** What `wait` resolves with, as it is now. */
  readonly summary: JobSummary
  /** Results in completion order, or in input order; each once; ends when the job ends. */
  results(options?: { ordered?: boolean; signal?: AbortSignal }): AsyncIterable<TaskResult<Item>>
  /**
   * What happened, from `since` (an event's `seq`) on. A reader that is too late gets a `gap` event. Who
   * follows the job while it runs also gets `progress`, at most four times a second. Of an attempt's phase
   * and usage a host tells only the latest to a client that is slow; nothing marks that.
   */
  events(options?: { since?: number; signal?: AbortSignal }): AsyncIterable<JobEvent>
  /**
   * What tasks wrote, as it arrives: of one task or of all. With `follow` until the job ends, else what
   * is known now. Buffers on the way are bounded, here and at the host: where output was dropped because
   * somebody was too slow, a line with `gap` stands in its place. The last bytes are in the task's result.
   */
  logs(options?: { task?: string; follow?: boolean; signal?: AbortSignal }): AsyncIterable<LogLine>
  /** Resolves when the job has ended, however it ended. */
  wait(options?: { signal?: AbortSignal }): Promise<JobSummary>
  /**
   * Sends out no more tasks; what runs goes on. With `stop` it is ended as well, at nobody's expense, and
   * waits again: then no host does anything for the job.
   */
  pause(options?: { stop?: boolean }): Promise<void>
  resume(): Promise<void>
  /** Ends the job: nothing more is sent out, what runs is ended. Resolves when the hosts were told. */
  cancel(reason?: string): Promise<void>
  /**
   * Runs failed tasks again, each with all its attempts, those that were canceled because a task that they need
   * had failed, and what was not read of the source when the job ended. Resolves how many tasks that are;
   * failed parts of a range are cut anew.
   *
   * @throws CANCELED for a job that was canceled, HOOKS_MISSING when the rest of its source has to be given
   *   again in {@link Client.job}
   */
  retry(options: { failed: true }): Promise<number>
  /**
   * One text with which a client on another machine continues the job, see {@link Client.attach}: the job as
   * it is now, without functions and secrets, and the right to it. Whoever has it has the job, so keep it as
   * you keep a password. From now until the job is over its hosts keep the results that this client has
   * accepted, of each host the last 1024: nothing of these is computed again elsewhere. This client keeps what
   * each task alone takes for as long, since a result may be lost with its host, and runs again elsewhere then.
   *
   * @throws LIMIT for a job of more than 250,000 tasks, JOB_TAKEN
   */
  ownerKey(): Promise<string>
  /**
   * Every known host, with the rule that excludes it for this task, or what the task waits for.
   *
   * @throws NOT_FOUND
   */
  why(taskKey: string): Promise<HostVerdict[]>
}

/** A piece of what a task wrote, or a mark of what is missing there. */
export interface LogLine {
  task: string
  /** Empty in a mark for streams that are not told apart any more. */
  attempt: string
  stream: 'stdout' | 'stderr'
  text: string
  /** So many bytes of the stream were lost here; `text` is empty then. */
  gap?: number
}

export interface JobSummary {
  id: string
  name: string
  phase: JobPhase
  counts: JobCounts
  bytesUp: number
  bytesDown: number
  durationMs: number
  /** Why the job as a whole failed or was canceled. */
  error?: ErrorDocument
}

export interface HostVerdict {
  host: string
  eligible: boolean
  reason: string
  /** How long a word to it and back takes, ms, once that was measured. */
  rttMs?: number
}
