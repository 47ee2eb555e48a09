import {
  type AnnouncedCheckpoint,
  type AttemptEnd,
  type AttemptPhase,
  LIMITS,
  ManyhandsError,
} from '@manyhands/core'
import type { JobRun } from '../job-run.ts'
import type { CheckpointRows } from '../journal/checkpoint-rows.ts'
import type { Verdict } from '../judge-end.ts'
import type { LiveAttempt, Task } from '../task.ts'
import type { LeftOff } from '../undone-results.ts'
import { CheckpointArrivals, type CheckpointArrivalsOptions } from './checkpoint-arrivals.ts'
import { HeldBeginnings } from './held-beginnings.ts'
import { checkpointKey, KeptCheckpoints } from './kept-checkpoints.ts'

/** What a last one is waited for, of attempts that this client ends itself, ms. */
const LAST_MS = 30_000

export interface CheckpointsOptions extends CheckpointArrivalsOptions {
  rows: CheckpointRows
}

/**
 * Where tasks go on. Checkpoints come here as hosts make them; the newest of each task is kept, and the next
 * attempt begins with it, wherever that is. To have none costs time, and is never an error.
 */
export class Checkpoints {
  readonly #options: CheckpointsOptions
  readonly #kept: KeptCheckpoints
  readonly #arrivals: CheckpointArrivals
  readonly #beginnings: HeldBeginnings
  readonly #jobs = new WeakSet<JobRun>()

  constructor(options: CheckpointsOptions) {
    this.#options = options
    this.#kept = new KeptCheckpoints(options.rows, options.store)
    this.#beginnings = new HeldBeginnings(options.store)
    this.#arrivals = new CheckpointArrivals(options, this.#kept)
  }

  /** The job that has this artifact as a checkpoint, or of which an attempt begins with it. */
  jobOf(root: string): string | undefined {
    return this.#kept.jobOf(root) ?? this.#beginnings.jobOf(root)
  }

  /** Times that a task ended only to be continued: those dispatches are not counted against it. */
  continuations(job: JobRun, task: Task): number {
    return this.#kept.get(job.id, checkpointKey(task))?.continued ?? 0
  }

  /**
   * Where a task has to go on, if it can: of a job whose results are checked, the host that has made its
   * checkpoint. Undefined when one is as good as another.
   */
  homeOf(job: JobRun, task: Task): string | undefined {
    if (job.checking === undefined || job.document.base.checkpoint === undefined) return undefined
    const row = this.#kept.get(job.id, checkpointKey(task))
    return row?.root === undefined ? undefined : row.host
  }

  /** An attempt is about to leave: it begins where the task was left. */
  begin(job: JobRun, task: Task, attempt: LiveAttempt): void {
    if (job.document.base.checkpoint === undefined) return
    this.#forgetAtEnd(job)
    const row = this.#kept.get(job.id, checkpointKey(task))
    if (row?.root === undefined) return
    // A result that is checked has to be one host's own: nobody answers for files that another one has made.
    if (job.checking !== undefined && row.host !== attempt.host) return
    const { root, bytes } = row
    attempt.restore = { root, bytes }
    attempt.timeline.startedFrom = { attempt: row.attempt, root, bytes }
    this.#beginnings.hold(job, task, attempt)
  }

  /** An attempt that an earlier process sent out, or that is back, may still have to fetch what it begins with. */
  restored(job: JobRun, task: Task, attempt: LiveAttempt): void {
    if (attempt.restore === undefined) return
    this.#forgetAtEnd(job)
    this.#beginnings.hold(job, task, attempt)
  }

  /** An attempt has begun, or is out no more: what it began with need not be kept for it. */
  begun(attempt: LiveAttempt): void {
    this.#forgotten(this.#beginnings.letGo(attempt))
  }

  /** A host has one. It says so until it is told that we have it. */
  announced(
    job: JobRun,
    task: Task,
    attempt: LiveAttempt,
    checkpoint: AnnouncedCheckpoint | undefined,
  ): Promise<void> | undefined {
    if (checkpoint === undefined || job.document.base.checkpoint === undefined) return undefined
    this.#forgetAtEnd(job)
    return this.#arrivals.announced(job, task, attempt, checkpoint)
  }

  /**
   * An attempt has ended without a result: what it left comes here first. Returns what follows from its end;
   * an end that asks to be continued is the task's own failure where there is nothing to go on from.
   */
  async ended(
    of: { job: JobRun; task: Task; attempt: LiveAttempt },
    { phase, end }: { phase: AttemptPhase; end: AttemptEnd },
    verdict: Verdict,
  ): Promise<Verdict> {
    const { job, task, attempt } = of
    if (job.document.base.checkpoint === undefined) return verdict
    this.#forgetAtEnd(job)
    if (end.checkpoint !== undefined) {
      await this.#arrivals.last(job, task, attempt, end.checkpoint)
    }
    if (attempt.canceled || job.over) return verdict
    if (end.error?.code === 'TASK_CONTINUES') {
      const error = await this.#continued(of, end)
      if (error === undefined) return 'continue'
      end.error = error.toJSON()
      if (error.code === 'HOST_FAILED') return 'move'
      if (error.code !== 'TASK_FAILED') return 'continue'
    }
    if (phase === 'failed' && isItsOwn(verdict, attempt, end)) await this.#failedFrom(of)
    return verdict
  }

  /** Asks for last checkpoints of attempts that are about to be canceled. Resolves when they are here, or late. */
  async last(job: JobRun, tasks: Task[]): Promise<void> {
    if (job.document.base.checkpoint === undefined) return
    const byHost = new Map<string, { task: Task; attempt: LiveAttempt }[]>()
    for (const task of tasks) {
      for (const attempt of task.running) {
        const there = byHost.get(attempt.host) ?? []
        byHost.set(attempt.host, there)
        there.push({ task, attempt })
      }
    }
    const asked = [...byHost].map(async ([host, sent]) => {
      const ids = sent.map(({ attempt }) => attempt.id).slice(0, LIMITS.attemptsPerClient)
      const { checkpoints } = await this.#options.network.call(
        host,
        'attempt.checkpoint',
        { ids },
        { timeoutMs: LAST_MS },
      )
      const come = sent.map(({ task, attempt }, n) =>
        this.announced(job, task, attempt, checkpoints[n] ?? undefined),
      )
      await Promise.all(come)
    })
    const late = this.#options.clock.delay(LAST_MS, { signal: this.#options.closing })
    await Promise.race([Promise.allSettled(asked), late.catch(() => {})])
  }

  /** An attempt is canceled: what comes of it is not waited for. */
  stop(attempt: LiveAttempt): void {
    this.#arrivals.stop(attempt)
  }

  /** A task is over: nothing of it goes on. */
  over(job: JobRun, task: Task): void {
    if (job.document.base.checkpoint === undefined) return
    this.#arrivals.stopTask(task)
    this.#forgotten(this.#kept.forget(job.id, checkpointKey(task)))
  }

  /** Where tasks of a job were left that took something wrong: nothing of it may come into what they do now. */
  leftOff({ id }: JobRun): LeftOff {
    return {
      doubt: (keys) => this.#kept.doubt(id, keys),
      trust: (keys) => this.#kept.trust(id, keys),
      forget: async (keys) => {
        const forgotten = keys.map((key) => this.#kept.forget(id, key))
        for (const done of forgotten) this.#forgotten(done)
        await Promise.allSettled(forgotten)
      },
    }
  }

  close(): Promise<void> {
    return this.#arrivals.close()
  }

  /** Why a task that asks for it cannot be continued; undefined when it can. */
  async #continued(
    { job, task, attempt }: { job: JobRun; task: Task; attempt: LiveAttempt },
    { exitCode }: AttemptEnd,
  ): Promise<ManyhandsError | undefined> {
    const said = `the task ended with exit code ${exitCode} to be continued`
    const row = this.#kept.get(job.id, checkpointKey(task))
    // Another attempt is further, or began later: this one is at no fault, and the task goes on from there.
    const isBehind = row?.root !== undefined && row.epoch > attempt.epoch
    if (row?.root === undefined || (row.epoch !== attempt.epoch && !isBehind)) {
      const why = this.#arrivals.failureOf(attempt)
      if (why !== undefined && !why.blamed) {
        return new ManyhandsError(why.error.code, `${said}; what it left: ${why.error.message}`)
      }
      return new ManyhandsError('HOST_FAILED', `${said}; what it left did not come`)
    }
    if (!isBehind && row.root === attempt.restore?.root) {
      return new ManyhandsError('TASK_FAILED', `${said}, and left what it had begun with`)
    }
    const continued = row.continued + 1
    if (continued > LIMITS.continuationsPerTask) {
      return new ManyhandsError('TASK_FAILED', `${said}, once more than it may`)
    }
    await this.#kept.change(job.id, checkpointKey(task), (now) => now && { ...now, continued })
    return undefined
  }

  /** Nothing came of a beginning: a checkpoint that leads nowhere is dropped, before it costs all attempts. */
  async #failedFrom(of: { job: JobRun; task: Task; attempt: LiveAttempt }): Promise<void> {
    const { job, task, attempt } = of
    await this.#kept.change(job.id, checkpointKey(task), (row) => {
      if (row?.root === undefined || row.root !== attempt.restore?.root) return undefined
      const starts = row.starts + 1
      return { ...row, starts, root: starts < LIMITS.checkpointStarts ? row.root : undefined }
    })
  }

  #forgetAtEnd(job: JobRun): void {
    if (this.#jobs.has(job)) return
    this.#jobs.add(job)
    void job.ended.promise.then(() => {
      // It may be tried again, and end again.
      this.#jobs.delete(job)
      this.#arrivals.stopJob(job)
      this.#forgotten(this.#kept.forgetJob(job.id))
      this.#forgotten(this.#beginnings.letGoOf(job))
    })
    // Another client may continue it: what is kept stays, as the journal has it.
    job.left.promise.catch(() => this.#arrivals.stopJob(job))
  }

  #forgotten(done: Promise<void>): void {
    done.catch((cause) => {
      this.#options.logger.warn('a checkpoint could not be removed', { cause: String(cause) })
    })
  }
}

/** Whether an end says something of the checkpoint that the attempt began with. */
function isItsOwn(verdict: Verdict, { restore }: LiveAttempt, { error }: AttemptEnd): boolean {
  if (verdict === 'task-failure') return true
  const damaged = error?.code === 'ARTIFACT_MISSING' || error?.code === 'ARTIFACT_CORRUPT'
  return damaged && restore !== undefined && error.details?.['restore'] === restore.root
}
