import {
  type ArtifactStore,
  type AttemptEnd,
  type AttemptEvent,
  isTerminal,
  ManyhandsError,
  type Network,
  type TaskOutputs,
  type TaskResult,
  toManyhandsError,
} from '@manyhands/core'
import { isSpecKnown } from './adopted-inputs.ts'
import { attemptNews } from './attempt-news.ts'
import { resultOf, validated } from './attempt-result.ts'
import { DISK_FULL_WAIT_MS } from './disk-full-wait.ts'
import type { JobRun } from './job-run.ts'
import type { HeldAt } from './journal/result-rows.ts'
import { judgeEnd } from './judge-end.ts'
import type { KeptEnds } from './kept-ends.ts'
import { OutputFetcher } from './output-fetcher.ts'
import { OutputStream } from './output-stream.ts'
import { failuresOf, isWitness } from './own-failures.ts'
import { Setbacks, type SetbacksOptions } from './setbacks.ts'
import type { LiveAttempt, Task } from './task.ts'
import { NO_OUTPUTS } from './task-outputs.ts'
import { restOf } from './task-rest.ts'

export interface SettlementOptions extends Omit<SetbacksOptions, 'finish'> {
  network: Network
  store: ArtifactStore
  kept: KeptEnds
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
  /** Of attempts that come to nothing. */
  readonly setbacks: Setbacks

  constructor(options: SettlementOptions) {
    this.#options = options
    const { network, store, logger, clock, directory } = options
    const { signal: closing } = this.#closing
    this.#outputs = new OutputFetcher({ network, directory, store, clock, closing })
    this.#stream = new OutputStream({ store, outputs: this.#outputs, logger })
    this.setbacks = new Setbacks({
      ...options,
      finish: (job, task, phase, result) => this.#finish(job, task, phase, result),
    })
  }

  async event(host: string, job: JobRun | undefined, event: AttemptEvent): Promise<void> {
    // What comes now is another client's to accept.
    if (job?.fenced !== undefined) return
    const record = this.#options.directory.record(host)
    const task = job?.sent(event.attempt.slice(0, event.attempt.lastIndexOf('.')))
    const attempt = task?.attempts.get(event.attempt)
    if (job === undefined || task === undefined || attempt === undefined || attempt.host !== host) {
      if (event.end === undefined || this.#options.held.has(event.attempt)) return
      record?.letGo(event.attempt)
      const done = job !== undefined && event.phase === 'completed'
      if (done && this.#options.kept.keep(job.id, host, event.attempt)) return
      this.#forget(host, event.attempt)
      return
    }
    if (this.#working.has(event.attempt)) return
    const known = attempt.phase
    const seen = attempt.timeline.running !== undefined
    job.meter.heard(attempt, event)
    if (event.transfer?.phase === 'inputs') record?.experience.received(event.transfer.rate)
    // Also of one that is only starting: its first words may come before it is told to run.
    for (const piece of attempt.log.take(event)) {
      job.tell({ kind: 'log', task: task.key, attempt: attempt.id, ...piece })
    }
    // How far its inputs are is not history: that would push out what is.
    if (event.phase === 'staging' && known === 'staging') job.progressed()
    else {
      const ran = !seen && !attempt.lost && attempt.timeline.running !== undefined
      if (ran && event.phase !== 'running') {
        job.tell(attemptNews(task, attempt, { phase: 'running' }))
      }
      job.tell(attemptNews(task, attempt, event))
    }
    if (!task.checks) this.#stream.announced(job, task, attempt, event.outputs)
    if (event.phase === 'running') this.#options.checkpoints.begun(attempt)
    void this.#options.checkpoints.announced(job, task, attempt, event.checkpoint)
    if (event.end === undefined || !isTerminal(event.phase)) return
    this.#working.add(event.attempt)
    try {
      this.setbacks.alive(task, attempt)
      this.setbacks.leave(job, attempt)
      await this.#settle(job, task, attempt, event, event.end)
    } finally {
      this.#working.delete(event.attempt)
    }
  }

  /** Whether an attempt's end is being worked on. */
  settling(attempt: LiveAttempt): boolean {
    return this.#working.has(attempt.id)
  }

  /** A host that was given up names an attempt again: it goes on where it is, if nobody else took it. */
  back(job: JobRun, task: Task, attempt: LiveAttempt): void {
    if (!attempt.lost || attempt.canceled || task.phase !== 'queued') return
    if (isOutdated(job, task, attempt)) return
    attempt.lost = false
    this.#options.checkpoints.restored(job, task, attempt)
    job.take(task)
    job.tasks.count(attempt, true)
    this.#options.directory.record(attempt.host)?.hold(attempt.id, job.document.base.resources)
  }

  /** Ends what runs of these tasks. Resolves when the hosts were told, or cannot be. */
  async cancelAttempts(job: JobRun, tasks: Task[], reason: string, except?: string): Promise<void> {
    const byHost = new Map<string, string[]>()
    for (const task of tasks) {
      for (const attempt of task.attempts.values()) {
        if (attempt.canceled || attempt.id === except) continue
        attempt.canceled = true
        this.setbacks.leave(job, attempt)
        this.#stream.giveUp(attempt)
        this.#options.checkpoints.stop(attempt)
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
    const judged = judgeEnd(event.phase, end)
    const verdict =
      judged === 'accept'
        ? judged
        : await this.#options.checkpoints.ended(
            { job, task, attempt },
            { phase: event.phase, end },
            judged,
          )
    const over = task.phase === 'completed' || task.phase === 'failed'
    const outdated = isOutdated(job, task, attempt)
    if (attempt.canceled || over || outdated) {
      this.#stream.giveUp(attempt)
      if (outdated && !attempt.canceled && !over) {
        this.setbacks.drop(job, task, attempt)
        this.setbacks.goOn(job, task)
      }
      this.#forget(attempt.host, attempt.id)
      return
    }
    if (verdict === 'accept') {
      this.setbacks.record(job, task, attempt, 'completed', end.durationMs)
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
    if (verdict === 'task-failure' && this.#halved(job, task, attempt)) {
      this.#forget(attempt.host, attempt.id)
      return
    }
    const others = this.setbacks.elsewhere(job, task, attempt.host)
    // What another client gave it may be known to nobody here.
    const blameless = error.code === 'RECEIPT_INVALID' && !isSpecKnown(task, attempt)
    // Where nobody else could do better, a task's failure says nothing about its host.
    if (event.phase === 'lost') task.deaths.add(attempt.host)
    if (event.phase === 'evicted') task.evicted(attempt.host)
    if (event.phase === 'evicted' || event.phase === 'lost') {
      this.setbacks.record(job, task, attempt, event.phase, end.durationMs)
    } else if (!blameless && verdict !== 'continue' && (error.blame === 'host' || others)) {
      this.setbacks.record(job, task, attempt, 'failed', end.durationMs)
    }
    this.setbacks.drop(job, task, attempt)
    if (verdict === 'move-and-exclude' && !blameless) {
      job.excluded.set(attempt.host, error.toJSON())
    }
    if (verdict === 'task-failure' && isWitness(job, task, attempt.host)) task.failures += 1
    if (verdict === 'task-failure' || verdict === 'give-up') task.avoid.add(attempt.host)
    // One host's word that nobody can run it is not enough where another can be asked.
    const hopeless = verdict === 'give-up' && !others
    if (hopeless || task.failures >= failuresOf(job, task)) {
      const outputs = await this.#outputs.fetch(job, task, attempt, end).catch(() => NO_OUTPUTS)
      await this.#finish(job, task, 'failed', resultOf(job, task, attempt, end, outputs, error))
    } else this.setbacks.goOn(job, task, error)
    this.#forget(attempt.host, attempt.id)
  }

  /** A part that failed goes out again in halves: that is no word against its host, and uses up nothing. */
  #halved(job: JobRun, task: Task, attempt: LiveAttempt): boolean {
    if (!job.tasks.halve(task)) return false
    this.setbacks.drop(job, task, attempt)
    void this.cancelAttempts(job, [task], 'its part has failed elsewhere')
    return true
  }

  async #accept(job: JobRun, task: Task, attempt: LiveAttempt, end: AttemptEnd): Promise<void> {
    const { held } = this.#options
    let outputs: TaskOutputs
    let heldAt: HeldAt | undefined
    try {
      if (held.keeps(job, task, attempt, end)) {
        const { root, bytes } = end.outputs!
        heldAt = { host: attempt.host, attempt: attempt.id, bytes }
        outputs = await held.look(job, task, heldAt, root)
      } else outputs = await this.#outputs.fetch(job, task, attempt, end)
    } catch (cause) {
      if (this.#closing.signal.aborted) return
      this.#options.logger.warn('outputs could not be fetched', {
        attempt: attempt.id,
        cause: String(cause),
      })
      this.#stream.giveUp(attempt)
      if (attempt.lost || !this.#options.network.isConnected(attempt.host)) {
        // It has the result, and tells of it again when it is back.
        this.setbacks.stranded(job, task, attempt, toManyhandsError(cause))
        return
      }
      this.setbacks.drop(job, task, attempt)
      task.avoid.add(attempt.host)
      this.setbacks.goOn(job, task, toManyhandsError(cause))
      this.#forget(attempt.host, attempt.id)
      return
    }
    // Its job was paused or ended while its outputs came: what counts is another attempt, or none.
    if (job.fenced !== undefined) return
    if (attempt.canceled) {
      this.#stream.giveUp(attempt)
      this.#forget(attempt.host, attempt.id)
      return
    }
    const result = resultOf(job, task, attempt, end, outputs)
    const refusal = contradiction(task, result) ?? (await validated(job, result))
    if (attempt.canceled) this.#stream.giveUp(attempt)
    else if (refusal !== undefined) {
      this.#stream.giveUp(attempt)
      this.setbacks.record(job, task, attempt, 'failed', end.durationMs)
      task.avoid.add(attempt.host)
      this.setbacks.drop(job, task, attempt)
      this.setbacks.goOn(job, task, refusal)
    } else {
      // Before anybody sees the result; and not for long, if another one was quicker.
      attempt.arrivals.outcome = 'result'
      const accepted = await this.#finish(job, task, 'completed', result, attempt.id, heldAt)
      if (accepted && heldAt !== undefined) return held.note(job, task, heldAt)
      if (accepted && this.#options.kept.keep(job.id, attempt.host, attempt.id)) return
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
    held?: HeldAt,
  ): Promise<boolean> {
    const accepted = await this.#settleOnce(job, task, phase, result, held)
    if (accepted) {
      this.#options.checkpoints.over(job, task)
      void this.cancelAttempts(job, [task], 'another attempt has won', winner)
    }
    return accepted
  }

  /** A full disk of ours is no reason to lose a result: it is waited for. */
  async #settleOnce(
    job: JobRun,
    task: Task,
    phase: 'completed' | 'failed',
    result: TaskResult,
    held: HeldAt | undefined,
  ): Promise<boolean> {
    while (true) {
      try {
        return await job.keeperOf(task).settle(task, phase, result, held)
      } catch (cause) {
        if (toManyhandsError(cause).code !== 'DISK_FULL' || job.over) throw cause
        await this.#options.clock.delay(DISK_FULL_WAIT_MS, { signal: this.#closing.signal })
      }
    }
  }

  #forget(host: string, attempt: string): void {
    this.#options.directory.link(host).acknowledge(attempt)
  }
}

/** What a part of a range says that cannot be. */
function contradiction(task: Task, { stdoutTail }: TaskResult): ManyhandsError | undefined {
  if (task.chunk === undefined) return undefined
  try {
    restOf(stdoutTail, task.chunk)
    return undefined
  } catch (cause) {
    return toManyhandsError(cause)
  }
}

/**
 * Whether only the newest attempt of a task counts, and this one is older. It is compared with those that may
 * still end, not with the numbers that this client gives: what was taken over has lower ones.
 */
function isOutdated({ document }: JobRun, { attempts }: Task, { epoch }: LiveAttempt): boolean {
  if (document.accept !== 'latest') return false
  return attempts.values().some((other) => !other.canceled && other.epoch > epoch)
}
