import { setTimeout as delay } from 'node:timers/promises'
import {
  type ArtifactStore,
  type AttemptEnd,
  type AttemptEvent,
  isTerminal,
  LIMITS,
  type Logger,
  ManyhandsError,
  type Network,
  type TaskOutputs,
  type TaskResult,
  toManyhandsError,
} from '@manyhands/core'
import { resultOf, validated } from './attempt-result.ts'
import type { HostDirectory } from './host-directory.ts'
import type { JobRun } from './job-run.ts'
import { judgeEnd, type Verdict } from './judge-end.ts'
import { OutputFetcher } from './output-fetcher.ts'
import { OutputStream } from './output-stream.ts'
import { mayWork, standingRefusal } from './placement.ts'
import type { LiveAttempt, Task } from './task.ts'
import { NO_OUTPUTS } from './task-outputs.ts'

/** How long a full disk of ours is waited for before a result is written again, ms. */
const DISK_FULL_WAIT_MS = 10_000

export interface SettlementOptions {
  network: Network
  store: ArtifactStore
  directory: HostDirectory
  logger: Logger
}

/**
 * What becomes of attempts: an end is judged by whose fault it is, outputs are fetched and verified,
 * one result per task is accepted, and only then is the host told that it may forget.
 */
export class Settlement {
  readonly #options: SettlementOptions
  readonly #outputs: OutputFetcher
  readonly #stream: OutputStream
  readonly #closing = new AbortController()
  /** Ends that are being worked on: a host repeats what was not acknowledged. */
  readonly #working = new Set<string>()

  constructor(options: SettlementOptions) {
    this.#options = options
    const { network, store, logger } = options
    this.#outputs = new OutputFetcher({ network, store, closing: this.#closing.signal })
    this.#stream = new OutputStream({ store, outputs: this.#outputs, logger })
  }

  async event(host: string, job: JobRun | undefined, event: AttemptEvent): Promise<void> {
    const record = this.#options.directory.record(host)
    const task = job?.sent.get(event.attempt.slice(0, event.attempt.lastIndexOf('.')))
    const attempt = task?.attempts.get(event.attempt)
    if (job === undefined || task === undefined || attempt === undefined || attempt.host !== host) {
      if (event.end === undefined) return
      record?.letGo(event.attempt)
      this.#forget(host, event.attempt)
      return
    }
    if (this.#working.has(event.attempt)) return
    const known = attempt.phase
    job.meter.heard(attempt, event)
    // Also of one that is only starting: its first words may come before it is told to run.
    for (const piece of attempt.log.take(event)) {
      job.tell({ kind: 'log', task: task.key, attempt: attempt.id, ...piece })
    }
    // How far its inputs are is not history: that would push out what is.
    if (event.phase === 'staging' && known === 'staging') job.progressed()
    else this.#tell(job, task, attempt, event)
    this.#stream.announced(job, task, attempt, event.outputs)
    if (event.end === undefined || !isTerminal(event.phase)) return
    this.#working.add(event.attempt)
    try {
      this.#leave(job, attempt)
      await this.#settle(job, task, attempt, event, event.end)
    } finally {
      this.#working.delete(event.attempt)
    }
  }

  /** The host said no, or could not be asked. */
  refused(
    job: JobRun,
    task: Task,
    attempt: LiveAttempt,
    error: ManyhandsError,
    verdict: Exclude<Verdict, 'accept'>,
  ): void {
    this.#drop(job, task, attempt)
    // What it has free comes with its answer; any other no would be repeated at once.
    if (error.details?.['rule'] !== 'free') this.#options.directory.record(attempt.host)?.refused()
    // Being full or leaving is no fault; what is refused for other reasons must end some time.
    if (error.code !== 'HOST_BUSY' && error.code !== 'HOST_DRAINING') task.dispatches += 1
    if (verdict === 'move-and-exclude') job.excluded.set(attempt.host, error.toJSON())
    if (verdict === 'give-up' && !this.#elsewhere(job, task, attempt.host)) {
      this.#fail(job, task, attempt.host, error)
    } else this.#goOn(job, task, error)
  }

  /** Whether an attempt's end is being worked on. */
  settling(attempt: LiveAttempt): boolean {
    return this.#working.has(attempt.id)
  }

  /** A host that was given up names an attempt again: it goes on where it is, if nobody else took it. */
  back(job: JobRun, task: Task, attempt: LiveAttempt): void {
    if (!attempt.lost || attempt.canceled || task.phase !== 'queued') return
    attempt.lost = false
    job.take(task)
    job.count(attempt, true)
    this.#options.directory.record(attempt.host)?.hold(attempt.id, job.prepared.base.resources)
  }

  /** The host vanished under it. A late result may still win. */
  lost(job: JobRun, task: Task, attempt: LiveAttempt): void {
    if (attempt.lost || attempt.canceled) return
    attempt.lost = true
    this.#leave(job, attempt)
    this.#record(job, task, attempt, 'lost', 0)
    task.deaths.add(attempt.host)
    const error = new ManyhandsError('HOST_LOST', `host ${attempt.host} vanished under the task`)
    job.tell({
      kind: 'attempt',
      task: task.key,
      attempt: attempt.id,
      host: attempt.host,
      phase: 'lost',
      error: error.toJSON(),
      ...provisional(attempt),
    })
    if (task.deaths.size >= LIMITS.poisonHosts) {
      const poison = new ManyhandsError(
        'TASK_POISON',
        `task ${task.key} coincided with the deaths of ${task.deaths.size} hosts`,
      )
      this.#fail(job, task, attempt.host, poison)
      return
    }
    this.#goOn(job, task)
  }

  /** Ends what runs of these tasks. Resolves when the hosts were told, or cannot be. */
  async cancelAttempts(job: JobRun, tasks: Task[], reason: string, except?: string): Promise<void> {
    const byHost = new Map<string, string[]>()
    for (const task of tasks) {
      for (const attempt of task.attempts.values()) {
        if (attempt.canceled || attempt.id === except) continue
        attempt.canceled = true
        this.#leave(job, attempt)
        this.#stream.giveUp(attempt)
        byHost.set(attempt.host, [...(byHost.get(attempt.host) ?? []), attempt.id])
      }
    }
    await Promise.all(
      [...byHost].map(([host, ids]) => this.#options.directory.link(host).cancel(ids, reason)),
    )
  }

  /** Nobody can ask for a job any more. */
  forgetJob(id: string): void {
    this.#stream.forgetJob(id)
  }

  async close(): Promise<void> {
    this.#closing.abort()
    await this.#stream.close()
    await this.#outputs.close()
  }

  async #settle(
    job: JobRun,
    task: Task,
    attempt: LiveAttempt,
    event: AttemptEvent,
    end: AttemptEnd,
  ): Promise<void> {
    const verdict = judgeEnd(event.phase, end)
    if (attempt.canceled || task.phase === 'completed' || task.phase === 'failed') {
      this.#stream.giveUp(attempt)
      this.#forget(attempt.host, attempt.id)
      return
    }
    if (verdict === 'accept') {
      this.#record(job, task, attempt, 'completed', end.durationMs)
      await this.#accept(job, task, attempt, end)
      return
    }
    this.#stream.giveUp(attempt)
    const error = ManyhandsError.fromJSON(
      end.error ?? {
        code: 'HOST_FAILED',
        message: end.reason ?? `the attempt ended as ${event.phase}`,
      },
    )
    const others = this.#elsewhere(job, task, attempt.host)
    // Where nobody else could do better, a task's failure says nothing about its host.
    if (event.phase === 'lost') task.deaths.add(attempt.host)
    if (event.phase === 'evicted') task.evicted(attempt.host)
    if (event.phase === 'evicted' || event.phase === 'lost') {
      this.#record(job, task, attempt, event.phase, end.durationMs)
    } else if (error.blame === 'host' || others) {
      this.#record(job, task, attempt, 'failed', end.durationMs)
    }
    this.#drop(job, task, attempt)
    if (verdict === 'move-and-exclude') job.excluded.set(attempt.host, error.toJSON())
    if (verdict === 'task-failure') task.failures += 1
    if (verdict === 'task-failure' || verdict === 'give-up') task.avoid.add(attempt.host)
    // One host's word that nobody can run it is not enough where another can be asked.
    const hopeless = verdict === 'give-up' && !others
    const over = hopeless || task.failures >= job.prepared.failures
    if (over) {
      const outputs = await this.#outputs.fetch(job, task, attempt, end).catch(() => NO_OUTPUTS)
      await this.#finish(
        job,
        task,
        'failed',
        resultOf(job, task, attempt.host, end, outputs, error),
      )
    } else this.#goOn(job, task, error)
    this.#forget(attempt.host, attempt.id)
  }

  async #accept(job: JobRun, task: Task, attempt: LiveAttempt, end: AttemptEnd): Promise<void> {
    let outputs: TaskOutputs
    try {
      outputs = await this.#outputs.fetch(job, task, attempt, end)
    } catch (cause) {
      if (this.#closing.signal.aborted) return
      this.#options.logger.warn('outputs could not be fetched', {
        attempt: attempt.id,
        cause: String(cause),
      })
      this.#stream.giveUp(attempt)
      this.#drop(job, task, attempt)
      task.avoid.add(attempt.host)
      this.#goOn(job, task, toManyhandsError(cause))
      this.#forget(attempt.host, attempt.id)
      return
    }
    const result = resultOf(job, task, attempt.host, end, outputs)
    const refusal = await validated(job, result)
    if (refusal !== undefined) {
      this.#stream.giveUp(attempt)
      this.#record(job, task, attempt, 'failed', end.durationMs)
      task.avoid.add(attempt.host)
      this.#drop(job, task, attempt)
      this.#goOn(job, task, refusal)
    } else {
      // Before anybody sees the result; and not for long, if another one was quicker.
      attempt.arrivals.outcome = 'result'
      const accepted = await this.#finish(job, task, 'completed', result, attempt.id)
      if (!accepted) {
        attempt.arrivals.outcome = undefined
        this.#stream.giveUp(attempt)
      }
    }
    this.#forget(attempt.host, attempt.id)
  }

  async #finish(
    job: JobRun,
    task: Task,
    phase: 'completed' | 'failed',
    result: TaskResult,
    winner?: string,
  ): Promise<boolean> {
    const accepted = await this.#settleOnce(job, task, phase, result)
    if (accepted) void this.cancelAttempts(job, [task], 'another attempt has won', winner)
    return accepted
  }

  /** A full disk of ours is no reason to lose a result: it is waited for. */
  async #settleOnce(
    job: JobRun,
    task: Task,
    phase: 'completed' | 'failed',
    result: TaskResult,
  ): Promise<boolean> {
    while (true) {
      try {
        return await job.settle(task, phase, result)
      } catch (cause) {
        if (toManyhandsError(cause).code !== 'DISK_FULL' || job.over) throw cause
        await delay(DISK_FULL_WAIT_MS, undefined, { signal: this.#closing.signal, ref: false })
      }
    }
  }

  #fail(job: JobRun, task: Task, host: string, error: ManyhandsError): void {
    const result = { ...job.resultWithout(task, 'failed', error), host }
    this.#finish(job, task, 'failed', result).catch((cause) => {
      this.#options.logger.warn('a failed task could not be settled', { cause: String(cause) })
    })
  }

  /** Whether a host that did not fail this task yet may take it. */
  #elsewhere(job: JobRun, task: Task, here: string): boolean {
    return this.#options.directory
      .records()
      .some(
        (host) =>
          host.peerId !== here &&
          mayWork(host) &&
          !task.avoid.has(host.peerId) &&
          standingRefusal(job, host) === undefined,
      )
  }

  #record(
    job: JobRun,
    task: Task,
    attempt: LiveAttempt,
    end: 'completed' | 'failed' | 'lost' | 'evicted',
    durationMs: number,
  ): void {
    const of = { image: job.prepared.base.image, task: task.fingerprint, durationMs }
    this.#options.directory.record(attempt.host)?.record(end, of)
  }

  /** The task goes elsewhere, unless another attempt of it still runs or it was sent out too often. */
  #goOn(job: JobRun, task: Task, error?: ManyhandsError): void {
    if (task.phase !== 'running' || !job.running.has(task.fingerprint)) return
    if (task.running.length > 0) return
    if (task.dispatches >= LIMITS.dispatchesPerTask) {
      const exhausted = new ManyhandsError(
        'DISPATCH_EXHAUSTED',
        `task ${task.key} was sent out ${task.dispatches} times without an outcome${error ? `: ${error.message}` : ''}`,
      )
      this.#fail(job, task, [...task.avoid].at(-1) ?? '', exhausted)
      return
    }
    job.requeue(task)
  }

  #drop(job: JobRun, task: Task, attempt: LiveAttempt): void {
    task.attempts.delete(attempt.id)
    this.#leave(job, attempt)
  }

  /** It holds nothing at its host any more. */
  #leave(job: JobRun, attempt: LiveAttempt): void {
    job.count(attempt, false)
    this.#options.directory.record(attempt.host)?.letGo(attempt.id)
  }

  #tell(job: JobRun, task: Task, attempt: LiveAttempt, event: AttemptEvent): void {
    const { host, id } = attempt
    const { end } = event
    const reason = end?.reason ?? event.reason
    job.tell({
      kind: 'attempt',
      task: task.key,
      attempt: id,
      host,
      phase: event.phase,
      ...(end?.by === undefined ? {} : { by: end.by }),
      ...(reason === undefined ? {} : { reason }),
      ...(end?.error === undefined ? {} : { error: end.error }),
      ...(event.usage === undefined ? {} : { usage: event.usage }),
      ...(isTerminal(event.phase) && event.phase !== 'completed' ? provisional(attempt) : {}),
    })
  }

  #forget(host: string, attempt: string): void {
    this.#options.directory.link(host).acknowledge(attempt)
  }
}

/** How many files had come of an attempt that does not become a result. */
function provisional({ arrivals }: LiveAttempt): { provisional?: number } {
  return arrivals.here.size === 0 ? {} : { provisional: arrivals.here.size }
}
