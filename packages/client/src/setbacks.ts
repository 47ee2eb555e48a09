import {
  type Clock,
  type ErrorCode,
  LIMITS,
  type Logger,
  ManyhandsError,
  type TaskResult,
} from '@manyhands/core'
import { attemptNews } from './attempt-news.ts'
import type { Checkpoints } from './checkpoints/checkpoints.ts'
import { DISK_FULL_WAIT_MS } from './disk-full-wait.ts'
import type { HeldResults } from './held-results.ts'
import type { HostDirectory } from './host-directory.ts'
import type { JobRun } from './job-run.ts'
import type { Verdict } from './judge-end.ts'
import { isSomebody, standingRefusal } from './placement.ts'
import type { LiveAttempt, Task } from './task.ts'

/** Ends of attempts that could not get their inputs. */
const STARVING: ReadonlySet<ErrorCode> = new Set([
  'ARTIFACT_MISSING',
  'ARTIFACT_CORRUPT',
  'CONNECT_FAILED',
  'PEER_GONE',
  'TIMEOUT',
])
/** Words of a host that has done nothing, or whose owner took it back. */
const UNUSED: ReadonlySet<ErrorCode> = new Set(['HOST_BUSY', 'HOST_DRAINING', 'EVICTED'])
/** After so many of them, what a task takes comes to the client. */
const STARVED = 2

export interface SetbacksOptions {
  directory: HostDirectory
  logger: Logger
  clock: Clock
  held: HeldResults
  checkpoints: Checkpoints
  /** A host says that another client continues a job. Resolves whether it has shown that. */
  taken(job: JobRun, host: string, claim: unknown): Promise<boolean>
  /** The task has failed, if nothing else was quicker. */
  finish(job: JobRun, task: Task, phase: 'failed', result: TaskResult): Promise<boolean>
}

/** What becomes of a task when an attempt of it comes to nothing: it goes elsewhere, or has failed. */
export class Setbacks {
  readonly #options: SetbacksOptions

  constructor(options: SetbacksOptions) {
    this.#options = options
  }

  /** The host said no, or could not be asked. */
  refused(
    job: JobRun,
    task: Task,
    attempt: LiveAttempt,
    error: ManyhandsError,
    verdict: Exclude<Verdict, 'accept' | 'continue'>,
  ): void {
    this.drop(job, task, attempt)
    if (error.code === 'JOB_TAKEN') {
      void this.#taken(job, task, attempt.host, error)
      return
    }
    const host = this.#options.directory.record(attempt.host)
    // What it has free comes with its answer; any other no would be repeated at once, and so would that of
    // one who says that nothing is free and shows that something is.
    const full = error.details?.['rule'] === 'free' && !host?.fits(job.document.base.resources)
    if (!full) host?.refused()
    // Being full or leaving is no fault; what is refused for other reasons must end some time.
    if (error.code !== 'HOST_BUSY' && error.code !== 'HOST_DRAINING') task.dispatches += 1
    if (verdict === 'move-and-exclude') job.excluded.set(attempt.host, error.toJSON())
    if (verdict === 'give-up' && !this.elsewhere(job, task, attempt.host)) {
      this.fail(job, task, attempt.host, error)
    } else this.goOn(job, task, error)
  }

  async #taken(job: JobRun, task: Task, host: string, error: ManyhandsError): Promise<void> {
    const taken = await this.#options
      .taken(job, host, error.details?.['claim'])
      .catch(() => job.fenced !== undefined)
    // Who cannot show it is asked no more.
    if (!taken) job.excluded.set(host, error.toJSON())
    this.goOn(job, task, error)
  }

  /** Our own journal could not take it: it never left, and that is no fault of its host or of its own. */
  unsent(job: JobRun, task: Task, attempt: LiveAttempt, error: ManyhandsError): void {
    this.drop(job, task, attempt)
    if (error.code !== 'DISK_FULL') this.goOn(job, task, error)
    else this.#options.clock.after(DISK_FULL_WAIT_MS, () => this.goOn(job, task, error))
  }

  /** What it takes of other tasks cannot be had: it never left. */
  unsupplied(
    job: JobRun,
    task: Task,
    attempt: LiveAttempt,
    error: ManyhandsError,
    verdict: 'give-up' | 'move',
  ): void {
    this.drop(job, task, attempt)
    task.dispatches += 1
    if (verdict === 'give-up') this.fail(job, task, attempt.host, error)
    else if (error.code !== 'DISK_FULL') this.goOn(job, task, error)
    else this.#options.clock.after(DISK_FULL_WAIT_MS, () => this.goOn(job, task, error))
  }

  /** The host vanished under it. A late result may still win. */
  lost(job: JobRun, task: Task, attempt: LiveAttempt): void {
    const error = new ManyhandsError('HOST_LOST', `host ${attempt.host} vanished under the task`)
    if (!this.#lose(job, task, attempt, error)) return
    task.deaths.add(attempt.host)
    if (task.deaths.size >= LIMITS.poisonHosts) {
      const poison = new ManyhandsError(
        'TASK_POISON',
        `task ${task.key} coincided with the deaths of ${task.deaths.size} hosts`,
      )
      this.fail(job, task, attempt.host, poison)
      return
    }
    this.goOn(job, task)
  }

  /** The host may not work for us any more: that says nothing of the task. */
  expelled(job: JobRun, task: Task, attempt: LiveAttempt, reason: string): void {
    const error = new ManyhandsError('HOST_LOST', `host ${attempt.host} is out of reach: ${reason}`)
    if (this.#lose(job, task, attempt, error)) this.goOn(job, task)
  }

  /** It has ended well where its outputs cannot be had. It goes elsewhere, and a late result may still win. */
  stranded(job: JobRun, task: Task, attempt: LiveAttempt, error: ManyhandsError): void {
    if (attempt.canceled || job.fenced !== undefined) return
    attempt.lost = true
    this.leave(job, attempt)
    this.goOn(job, task, error)
  }

  /** Its host was cut off and is here again with it: that was no death. */
  alive(task: Task, attempt: LiveAttempt): void {
    if (attempt.lost) task.deaths.delete(attempt.host)
  }

  fail(job: JobRun, task: Task, host: string, error: ManyhandsError): void {
    const result = { ...job.tasks.resultWithout(task, 'failed', error), host }
    this.#options.finish(job, task, 'failed', result).catch((cause) => {
      this.#options.logger.warn('a failed task could not be settled', { cause: String(cause) })
    })
  }

  /** Whether a host that did not fail this task yet may take it. */
  elsewhere(job: JobRun, task: Task, here: string): boolean {
    return this.#options.directory
      .records()
      .some(
        (host) =>
          host.peerId !== here &&
          isSomebody(host) &&
          !task.avoid.has(host.peerId) &&
          standingRefusal(job, host) === undefined,
      )
  }

  record(
    job: JobRun,
    task: Task,
    attempt: LiveAttempt,
    end: 'completed' | 'failed' | 'lost' | 'evicted',
    durationMs: number,
  ): void {
    const of = { image: job.document.base.image, task: task.fingerprint, durationMs }
    this.#options.directory.record(attempt.host)?.record(end, of)
  }

  /** The task goes elsewhere, unless another attempt of it still runs or it was sent out too often. */
  goOn(job: JobRun, task: Task, error?: ManyhandsError): void {
    // It may have ended meanwhile, or been stood back: then another one stands for it.
    const keeper = job.keeperOf(task)
    if (task.phase !== 'running' || keeper.running.get(task.fingerprint) !== task) return
    if (task.running.length > 0) return
    const counted = task.dispatches - this.#options.checkpoints.continuations(job, task)
    if (counted >= LIMITS.dispatchesPerTask) {
      const exhausted = new ManyhandsError(
        'DISPATCH_EXHAUSTED',
        `task ${task.key} was sent out ${task.dispatches} times without an outcome${error ? `: ${error.message}` : ''}`,
      )
      this.fail(job, task, [...task.avoid].at(-1) ?? '', exhausted)
      return
    }
    if (task.overrides.taken !== undefined && starving(error)) task.starved += 1
    if (task.starved < STARVED) {
      keeper.requeue(task, error !== undefined && UNUSED.has(error.code))
      return
    }
    // Where its inputs are, they cannot be had from elsewhere.
    task.starved = 0
    void this.#options.held
      .secure(job, task)
      .catch(() => {})
      .finally(() => {
        if (keeper.running.get(task.fingerprint) === task) keeper.requeue(task)
      })
  }

  drop(job: JobRun, task: Task, attempt: LiveAttempt): void {
    task.attempts.delete(attempt.id)
    this.leave(job, attempt)
  }

  /** It holds nothing at its host any more. */
  leave(job: JobRun, attempt: LiveAttempt): void {
    this.#options.checkpoints.begun(attempt)
    job.tasks.count(attempt, false)
    this.#options.directory.record(attempt.host)?.letGo(attempt.id)
  }

  #lose(job: JobRun, task: Task, attempt: LiveAttempt, error: ManyhandsError): boolean {
    if (attempt.lost || attempt.canceled || job.fenced !== undefined) return false
    attempt.lost = true
    this.leave(job, attempt)
    this.record(job, task, attempt, 'lost', 0)
    job.tell(attemptNews(task, attempt, { phase: 'lost', end: { error: error.toJSON() } }))
    return true
  }
}

/** Whether an attempt ended because its inputs could not be had. */
function starving(error: ManyhandsError | undefined): boolean {
  return error !== undefined && STARVING.has(error.code)
}
