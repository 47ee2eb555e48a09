import {
  assertTransition,
  type ErrorDocument,
  isTerminal,
  type JobPhase,
  LIMITS,
  ManyhandsError,
  NO_USAGE,
  type TaskPhase,
  type TaskResult,
  toManyhandsError,
} from '@manyhands/core'
import type { JobCounts, JobEvent, JobProgress, JobSummary } from './client.ts'
import type { ClientJournal } from './client-journal.ts'
import { EventLog } from './event-log.ts'
import { JobMeter } from './job-meter.ts'
import { LostOutput } from './lost-output.ts'
import type { PreparedJob } from './prepare-job.ts'
import { type LiveAttempt, Task } from './task.ts'
import { NO_OUTPUTS } from './task-outputs.ts'

/** Tasks read from the source beforehand: enough to fill offers, few enough for any batch. */
const READY_WINDOW = 1024
/** Tasks that become durable together. */
const INTAKE = 256

type Distribute<Event> = Event extends unknown ? Omit<Event, 'seq' | 'time' | 'job'> : never

/**
 * One job in progress: reads its source lazily, holds the tasks that are not over, counts, and tells
 * what happens. Where tasks run is not its affair.
 */
export class JobRun {
  readonly id: string
  readonly prepared: PreparedJob
  /** Tasks that wait for a host, next first. */
  readonly ready: Task[] = []
  /** Tasks that are out, by fingerprint. */
  readonly running = new Map<string, Task>()
  /** Tasks that were ever out and are not over, by fingerprint: a late result still finds its task. */
  readonly sent = new Map<string, Task>()
  /** How many attempts that count are at which host. */
  readonly attemptsAt = new Map<string, number>()
  /** Hosts that are not asked again for this job, with what they said. */
  readonly excluded = new Map<string, ErrorDocument>()
  readonly log: EventLog<JobEvent>
  /** What of the tasks' output is not in the log any more. */
  readonly lostOutput = new LostOutput()
  readonly ended = Promise.withResolvers<JobSummary>()
  /** Since when no host fits, monotonic ms. */
  stalledSince: number | undefined
  readonly meter = new JobMeter()
  /** What the scheduler wants to be told: there is something to send out. */
  onReady: () => void = () => {}
  /** The source or the cutting of tasks is broken: the job has to end. */
  onBroken: (error: ManyhandsError) => void = () => {}
  readonly #journal: ClientJournal
  readonly #startedAt = performance.now()
  readonly #counts = { completed: 0, failed: 0, canceled: 0 }
  readonly #source: AsyncIterator<unknown> | Iterator<unknown>
  #progressTimer: NodeJS.Timeout | undefined
  #phase: JobPhase = 'queued'
  #read = 0
  /** An item that was asked for and has not come yet. */
  #pending: Promise<IteratorResult<unknown>> | undefined
  #sourceDone = false
  #filling = false
  #error: ErrorDocument | undefined
  #firstFailure: ErrorDocument | undefined
  #finishing = false

  constructor(id: string, prepared: PreparedJob, journal: ClientJournal) {
    this.id = id
    this.prepared = prepared
    this.#journal = journal
    this.#source = prepared.items()
    const limits = {
      events: LIMITS.eventsBuffered,
      bytes: LIMITS.eventBytesBuffered,
      bytesOf,
      forgot: (events: JobEvent[]) => this.lostOutput.forgot(events),
    }
    const about = (seq: number) => ({ seq, time: new Date().toISOString(), job: id })
    this.log = new EventLog<JobEvent>(
      limits,
      (seq, missed) => ({ ...about(seq), kind: 'gap', missed }),
      (seq) => ({ ...about(seq), kind: 'progress', progress: this.progress }),
    )
  }

  get phase(): JobPhase {
    return this.#phase
  }

  get over(): boolean {
    return isTerminal(this.#phase)
  }

  /** Whether tasks may be sent out now. */
  get dispatching(): boolean {
    return (this.#phase === 'queued' || this.#phase === 'running') && !this.#finishing
  }

  get counts(): JobCounts {
    const { completed, failed, canceled } = this.#counts
    const running = this.running.size
    const total = this.#sourceDone ? this.#read : this.prepared.total
    const over = completed + failed + canceled
    return {
      queued: Math.max(0, (total ?? this.#read) - over - running),
      running,
      completed,
      failed,
      canceled,
      ...(total === undefined ? {} : { total }),
    }
  }

  get progress(): JobProgress {
    const { counts, dispatching, running } = this
    return this.meter.progress({
      counts,
      dispatching,
      running: running.values(),
      unit: this.prepared.unit,
    })
  }

  /** Something that progress shows has changed. */
  progressed(): void {
    if (this.over) return
    this.#progressTimer ??= setTimeout(() => {
      this.#progressTimer = undefined
      if (!this.over) this.log.renew()
    }, LIMITS.progressMs).unref()
  }

  get summary(): JobSummary {
    return {
      id: this.id,
      name: this.prepared.name,
      phase: this.#phase,
      counts: this.counts,
      bytesUp: this.meter.bytesUp,
      bytesDown: this.meter.bytesDown,
      durationMs: Math.round(performance.now() - this.#startedAt),
      ...(this.#error === undefined ? {} : { error: this.#error }),
    }
  }

  tell(event: Distribute<JobEvent>): void {
    const time = new Date().toISOString()
    this.log.append((seq) => ({ ...event, seq, time, job: this.id }) as JobEvent)
    if (event.kind !== 'log') this.progressed()
  }

  setPhase(phase: JobPhase): void {
    if (phase === this.#phase) return
    assertTransition('job', this.#phase, phase, this.id)
    this.#phase = phase
    this.tell({ kind: 'job', phase, ...(this.#error === undefined ? {} : { error: this.#error }) })
    void this.#journal.setJobPhase(this.id, phase).catch(() => {})
  }

  /** Reads on in the source until enough tasks wait. */
  fill(): void {
    if (this.#filling || this.#sourceDone || this.#finishing) return
    if (this.ready.length >= READY_WINDOW / 2) return
    this.#filling = true
    void this.#fill()
      .catch((cause) => this.onBroken(toManyhandsError(cause, 'SPEC_INVALID')))
      .finally(() => {
        this.#filling = false
        this.onReady()
        this.finishIfDone()
      })
  }

  /** Whether an attempt counts for its host's share of this job. */
  count(attempt: LiveAttempt, counts: boolean): void {
    if (attempt.counted === counts) return
    attempt.counted = counts
    const count = (this.attemptsAt.get(attempt.host) ?? 0) + (counts ? 1 : -1)
    if (count > 0) this.attemptsAt.set(attempt.host, count)
    else this.attemptsAt.delete(attempt.host)
  }

  /** Takes a waiting task out of the queue: it goes to a host. */
  take(task: Task): void {
    this.ready.splice(this.ready.indexOf(task), 1)
    task.move('running')
    this.running.set(task.fingerprint, task)
    this.sent.set(task.fingerprint, task)
    if (this.#phase === 'queued') this.setPhase('running')
    this.tell({ kind: 'task', task: task.key, phase: 'running' })
  }

  /** Puts a task back in front: it has waited before. */
  requeue(task: Task): void {
    this.running.delete(task.fingerprint)
    if (task.phase === 'running') {
      task.move('queued')
      this.tell({ kind: 'task', task: task.key, phase: 'queued' })
    }
    this.ready.unshift(task)
    this.onReady()
  }

  /** Takes a task's end over, once; the journal decides. Resolves whether it was accepted. */
  async settle(task: Task, phase: 'completed' | 'failed' | 'canceled', result: TaskResult) {
    const { outputs, item, ...document } = result
    void item
    const accepted = await this.#journal.accept(this.id, phase, {
      index: task.index,
      key: task.key,
      document: JSON.stringify(document),
      outputs: outputs.artifact === '' ? undefined : outputs.artifact,
    })
    if (!accepted) return false
    this.running.delete(task.fingerprint)
    this.sent.delete(task.fingerprint)
    if (task.phase === 'queued') {
      const waiting = this.ready.indexOf(task)
      if (waiting >= 0) this.ready.splice(waiting, 1)
      if (phase === 'completed') task.move('running')
    }
    task.move(phase)
    this.#counts[phase] += 1
    if (phase === 'completed') this.meter.completed(task)
    if (phase === 'failed') this.#firstFailure ??= result.error
    this.tell({ kind: 'task', task: task.key, phase, result })
    this.onSettled()
    this.finishIfDone()
    return true
  }

  /** Somebody who waits for results. */
  onSettled: () => void = () => {}

  /**
   * Ends the job before its time: what waits is over at once, what runs is given back to be ended at
   * the hosts.
   */
  abort(phase: 'failed' | 'canceled', error: ManyhandsError): Task[] {
    if (this.over || this.#finishing) return []
    this.#finishing = true
    this.#sourceDone = true
    this.#error = error.toJSON()
    void Promise.resolve(this.#source.return?.()).catch(() => {})
    const waiting = this.ready.splice(0)
    const running = [...this.running.values()]
    void Promise.all(
      [...waiting, ...running].map((task) =>
        this.settle(task, phase, this.resultWithout(task, phase, error)),
      ),
    )
      .catch(() => {})
      .then(() => {
        this.#finishing = false
        this.#finish(phase)
      })
    return running
  }

  /** The result of a task that was not decided by an attempt. */
  resultWithout(task: Task, phase: TaskPhase, error: ManyhandsError): TaskResult {
    return {
      job: this.id,
      key: task.key,
      index: task.index,
      item: task.item,
      ok: false,
      phase,
      exitCode: undefined,
      signal: undefined,
      timedOut: false,
      canceled: phase === 'canceled',
      oom: false,
      host: undefined,
      attempts: task.epoch,
      durationMs: 0,
      usage: NO_USAGE,
      outputs: NO_OUTPUTS,
      stdoutTail: '',
      stderrTail: '',
      error: error.toJSON(),
    }
  }

  finishIfDone(): void {
    if (this.#finishing || !this.#sourceDone || this.#filling) return
    if (this.ready.length > 0 || this.running.size > 0 || this.over) return
    const { completed, failed, canceled } = this.#counts
    if (completed + failed + canceled < this.#read) return
    this.#finish(failed > 0 ? 'failed' : 'completed')
  }

  #finish(phase: 'completed' | 'failed' | 'canceled'): void {
    if (this.over) return
    if (phase === 'failed') {
      const { failed } = this.#counts
      const first = this.#firstFailure
      const why = first === undefined ? '' : `; the first: ${first.code}: ${first.message}`
      this.#error ??= new ManyhandsError(
        'JOB_FAILED',
        `${failed} of ${this.#read} tasks failed${why}`,
      ).toJSON()
    }
    this.setPhase(phase)
    this.log.end()
    this.onSettled()
    this.ended.resolve(this.summary)
  }

  async #fill(): Promise<void> {
    while (this.ready.length < READY_WINDOW && !this.#sourceDone && !this.#finishing) {
      const batch: Task[] = []
      while (batch.length < INTAKE) {
        this.#pending ??= Promise.resolve(this.#source.next())
        // What was read is not kept waiting for a source that is slow with the next item.
        const next =
          batch.length === 0 ? await this.#pending : await Promise.race([this.#pending, turn()])
        if (next === undefined) break
        this.#pending = undefined
        if (next.done) {
          this.#sourceDone = true
          break
        }
        const index = this.#read
        this.#read += 1
        batch.push(await this.#taskOf(next.value, index, batch))
      }
      if (batch.length === 0) return
      await this.#journal.addTasks(
        this.id,
        batch.map((task) => ({ index: task.index, key: task.key, item: itemText(task) })),
      )
      if (this.#finishing) return
      this.ready.push(...batch)
      this.onReady()
    }
  }

  async #taskOf(item: unknown, index: number, batch: Task[]): Promise<Task> {
    const { key, explicit, overrides } = await this.prepared.taskOf(item, index)
    const taken = (candidate: string) =>
      batch.some((task) => task.key === candidate) || this.#journal.hasTask(this.id, candidate)
    if (!taken(key)) return new Task(this.id, index, key, item, overrides)
    if (explicit) {
      throw new ManyhandsError(
        'SPEC_INVALID',
        `task(${index}).key: '${key}' is the key of another task`,
      )
    }
    return new Task(this.id, index, `${key}~${index}`, item, overrides)
  }
}

/** Undefined, after everything that is already due has happened. */
function turn(): Promise<undefined> {
  return new Promise((resolve) => setImmediate(() => resolve(undefined)))
}

/** What an event keeps in memory: its texts, and something for the rest. */
function bytesOf(event: JobEvent): number {
  if (event.kind === 'log') return 256 + event.text.length
  if (event.kind === 'output') return 512 + event.path.length
  if (event.kind !== 'task' || event.result === undefined) return 256
  return 1024 + event.result.stdoutTail.length + event.result.stderrTail.length
}

function itemText(task: Task): string {
  try {
    return JSON.stringify(task.item) ?? 'null'
  } catch (cause) {
    throw new ManyhandsError('SPEC_INVALID', `item ${task.index} cannot be written as JSON`, {
      cause,
    })
  }
}
