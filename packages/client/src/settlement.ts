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
import PQueue from 'p-queue'
import type { HostDirectory } from './host-directory.ts'
import type { JobRun } from './job-run.ts'
import { judgeEnd, type Verdict } from './judge-end.ts'
import type { LiveAttempt, Task } from './task.ts'
import { NO_OUTPUTS, storedOutputs } from './task-outputs.ts'

/** Outputs that are fetched at once, over all hosts. */
const FETCHES = 16
const FETCH_TRIES = 3
/** How long a full disk is waited for before the same outputs are tried again, ms. */
const DISK_FULL_WAIT_MS = 10_000
/** A failure faster than this counts towards calling a host a black hole, ms. */
const QUICK_MS = 2_000

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
  readonly #fetches = new PQueue({ concurrency: FETCHES })
  readonly #closing = new AbortController()
  /** Ends that are being worked on: a host repeats what was not acknowledged. */
  readonly #working = new Set<string>()

  constructor(options: SettlementOptions) {
    this.#options = options
  }

  async event(host: string, job: JobRun | undefined, event: AttemptEvent): Promise<void> {
    const record = this.#options.directory.record(host)
    const task = job?.sent.get(event.attempt.slice(0, event.attempt.lastIndexOf('.')))
    const attempt = task?.attempts.get(event.attempt)
    if (job === undefined || task === undefined || attempt === undefined || attempt.host !== host) {
      if (event.end !== undefined) this.#forget(host, event.attempt)
      return
    }
    this.#tell(job, task, attempt, event)
    if (event.end === undefined || !isTerminal(event.phase)) return
    if (this.#working.has(event.attempt)) return
    this.#working.add(event.attempt)
    try {
      record?.letGo(event.attempt)
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
    this.#drop(task, attempt)
    if (verdict === 'move-and-exclude') job.excluded.set(attempt.host, error.toJSON())
    if (verdict === 'give-up') void this.#fail(job, task, attempt.host, error)
    else this.#goOn(job, task)
  }

  /** The host vanished under it. A late result may still win. */
  lost(job: JobRun, task: Task, attempt: LiveAttempt): void {
    if (attempt.lost || attempt.canceled) return
    attempt.lost = true
    const record = this.#options.directory.record(attempt.host)
    record?.letGo(attempt.id)
    record?.record('lost', 0, QUICK_MS)
    task.deaths.add(attempt.host)
    const error = new ManyhandsError('HOST_LOST', `host ${attempt.host} vanished under the task`)
    job.tell({
      kind: 'attempt',
      task: task.key,
      attempt: attempt.id,
      host: attempt.host,
      phase: 'lost',
      error: error.toJSON(),
    })
    if (task.deaths.size >= LIMITS.poisonHosts) {
      const poison = new ManyhandsError(
        'TASK_POISON',
        `task ${task.key} coincided with the deaths of ${task.deaths.size} hosts`,
      )
      void this.#fail(job, task, attempt.host, poison)
      return
    }
    this.#goOn(job, task)
  }

  /** Ends what runs of these tasks. Resolves when the hosts were told, or cannot be. */
  async cancelAttempts(tasks: Task[], reason: string, except?: string): Promise<void> {
    const byHost = new Map<string, string[]>()
    for (const task of tasks) {
      for (const attempt of task.attempts.values()) {
        if (attempt.canceled || attempt.id === except) continue
        attempt.canceled = true
        this.#options.directory.record(attempt.host)?.letGo(attempt.id)
        byHost.set(attempt.host, [...(byHost.get(attempt.host) ?? []), attempt.id])
      }
    }
    await Promise.all(
      [...byHost].map(([host, ids]) => this.#options.directory.link(host).cancel(ids, reason)),
    )
  }

  async close(): Promise<void> {
    this.#closing.abort()
    this.#fetches.clear()
    await this.#fetches.onIdle()
  }

  async #settle(
    job: JobRun,
    task: Task,
    attempt: LiveAttempt,
    event: AttemptEvent,
    end: AttemptEnd,
  ): Promise<void> {
    const record = this.#options.directory.record(attempt.host)
    const verdict = judgeEnd(event.phase, end)
    if (attempt.canceled || task.phase === 'completed' || task.phase === 'failed') {
      this.#forget(attempt.host, attempt.id)
      return
    }
    if (verdict === 'accept') {
      record?.record('completed', end.durationMs, QUICK_MS)
      await this.#accept(job, task, attempt, end)
      return
    }
    const error = ManyhandsError.fromJSON(
      end.error ?? {
        code: 'HOST_FAILED',
        message: end.reason ?? `the attempt ended as ${event.phase}`,
      },
    )
    const evicted = event.phase === 'evicted'
    // A task that fails everywhere says nothing about a host; one that fails here alone does.
    const hostsFault = error.blame === 'host' || job.counts.completed > 0
    if (evicted) record?.record('evicted', end.durationMs, QUICK_MS)
    else if (hostsFault) record?.record('failed', end.durationMs, QUICK_MS)
    this.#drop(task, attempt)
    if (verdict === 'move-and-exclude') job.excluded.set(attempt.host, error.toJSON())
    if (verdict === 'task-failure') {
      task.failures += 1
      task.avoid.add(attempt.host)
    }
    const over = verdict === 'give-up' || task.failures >= job.prepared.failures
    if (over) {
      const outputs = await this.#outputs(job, attempt, end).catch(() => NO_OUTPUTS)
      await this.#finish(
        job,
        task,
        'failed',
        resultOf(job, task, attempt.host, end, outputs, error),
      )
    } else this.#goOn(job, task)
    this.#forget(attempt.host, attempt.id)
  }

  async #accept(job: JobRun, task: Task, attempt: LiveAttempt, end: AttemptEnd): Promise<void> {
    let outputs: TaskOutputs
    try {
      outputs = await this.#outputs(job, attempt, end)
    } catch (cause) {
      if (this.#closing.signal.aborted) return
      this.#options.logger.warn('outputs could not be fetched', {
        attempt: attempt.id,
        cause: String(cause),
      })
      this.#drop(task, attempt)
      this.#goOn(job, task)
      this.#forget(attempt.host, attempt.id)
      return
    }
    const result = resultOf(job, task, attempt.host, end, outputs)
    const refusal = await validated(job, result)
    if (refusal !== undefined) {
      this.#options.directory.record(attempt.host)?.record('failed', end.durationMs, QUICK_MS)
      task.avoid.add(attempt.host)
      this.#drop(task, attempt)
      this.#goOn(job, task, refusal)
    } else {
      await this.#finish(job, task, 'completed', result, attempt.id)
    }
    this.#forget(attempt.host, attempt.id)
  }

  async #finish(
    job: JobRun,
    task: Task,
    phase: 'completed' | 'failed',
    result: TaskResult,
    winner?: string,
  ): Promise<void> {
    const accepted = await job.settle(task, phase, result)
    if (accepted) void this.cancelAttempts([task], 'another attempt has won', winner)
  }

  async #fail(job: JobRun, task: Task, host: string, error: ManyhandsError): Promise<void> {
    const result = { ...job.resultWithout(task, 'failed', error), host }
    await this.#finish(job, task, 'failed', result)
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
      void this.#fail(job, task, [...task.avoid].at(-1) ?? '', exhausted)
      return
    }
    job.requeue(task)
  }

  #drop(task: Task, attempt: LiveAttempt): void {
    task.attempts.delete(attempt.id)
    this.#options.directory.record(attempt.host)?.letGo(attempt.id)
  }

  async #outputs(job: JobRun, attempt: LiveAttempt, end: AttemptEnd): Promise<TaskOutputs> {
    if (end.outputs === undefined) return NO_OUTPUTS
    const { root } = end.outputs
    const { network, store, directory } = this.#options
    // Held for the job before it is there: nothing may sweep it up in between.
    store.retain(root, job.id)
    for (let tries = 1; ; tries += 1) {
      try {
        let before = 0
        await this.#fetches.add(() =>
          store.fetch(
            root,
            { network, peer: attempt.host },
            {
              signal: this.#closing.signal,
              onProgress: (bytes) => {
                job.bytesDown += bytes - before
                before = bytes
              },
            },
          ),
        )
        return await storedOutputs(store, root)
      } catch (cause) {
        const error = toManyhandsError(cause)
        if (this.#closing.signal.aborted || job.over) throw error
        // The result stays sealed at the host: our own full disk is no reason to compute it again.
        if (error.code === 'DISK_FULL') tries = 0
        else if (tries >= FETCH_TRIES || attempt.lost) throw error
        const waitMs =
          error.code === 'DISK_FULL' ? DISK_FULL_WAIT_MS : directory.link(attempt.host).heartbeatMs
        await delay(waitMs, undefined, { signal: this.#closing.signal, ref: false })
      }
    }
  }

  #tell(job: JobRun, task: Task, attempt: LiveAttempt, event: AttemptEvent): void {
    const { host, id } = attempt
    for (const stream of ['stdout', 'stderr'] as const) {
      const bytes = event[stream]
      if (bytes === undefined || bytes.length === 0) continue
      const text = new TextDecoder().decode(bytes)
      job.tell({ kind: 'log', task: task.key, attempt: id, stream, text })
    }
    const { end } = event
    job.tell({
      kind: 'attempt',
      task: task.key,
      attempt: id,
      host,
      phase: event.phase,
      ...(end?.by === undefined ? {} : { by: end.by }),
      ...(end?.reason === undefined ? {} : { reason: end.reason }),
      ...(end?.error === undefined ? {} : { error: end.error }),
      ...(event.usage === undefined ? {} : { usage: event.usage }),
    })
  }

  #forget(host: string, attempt: string): void {
    this.#options.directory.link(host).acknowledge(attempt)
  }
}

async function validated(job: JobRun, result: TaskResult): Promise<ManyhandsError | undefined> {
  try {
    await job.prepared.spec.validate?.(result)
    return undefined
  } catch (cause) {
    return new ManyhandsError(
      'VALIDATION_FAILED',
      `validate: ${(cause as Error)?.message ?? cause}`,
      { cause },
    )
  }
}

function resultOf(
  job: JobRun,
  task: Task,
  host: string,
  end: AttemptEnd,
  outputs: TaskOutputs,
  error?: ManyhandsError,
): TaskResult {
  const decoder = new TextDecoder()
  return {
    job: job.id,
    key: task.key,
    index: task.index,
    item: task.item,
    ok: error === undefined,
    phase: error === undefined ? 'completed' : 'failed',
    exitCode: end.exitCode,
    signal: end.signal,
    timedOut: end.timedOut,
    canceled: false,
    oom: end.oom,
    host,
    attempts: Math.max(1, task.dispatches),
    durationMs: end.durationMs,
    usage: end.usage,
    outputs,
    stdoutTail: decoder.decode(end.stdoutTail),
    stderrTail: decoder.decode(end.stderrTail),
    ...(error === undefined ? {} : { error: error.toJSON() }),
  }
}
