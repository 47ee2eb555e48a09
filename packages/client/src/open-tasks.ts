import type { Clock, ManyhandsError } from '@manyhands/core'
import type { JobNews } from './job-chronicle.ts'
import type { ChunkItem, JobCutting } from './job-cutting.ts'
import type { JobDocument } from './job-document.ts'
import type { JobInputs } from './job-inputs.ts'
import type { ClientJournal } from './journal/client-journal.ts'
import type { TaskRow } from './journal/task-rows.ts'
import { type LiveAttempt, Task } from './task.ts'
import { templated } from './task-documents.ts'
import { TaskLine } from './task-line.ts'

export interface OpenTasksParts {
  job: string
  document: JobDocument
  journal: Pick<ClientJournal, 'tasks'>
  inputs: Pick<JobInputs, 'gone'>
  clock: Clock
  /** Attempts up to this number were another client's. */
  lastEpoch: number
  cutting: JobCutting | undefined
  tell(event: JobNews): void
  /** Something can be sent out. */
  ready(): void
  /** A task whose inputs cannot be had any more: it is over before it is sent out. */
  gone(task: Task, error: ManyhandsError): void
}

/** The tasks of one job that are in memory: those that wait next, and those that are out. */
export class OpenTasks {
  /** Tasks that are out, by fingerprint. */
  readonly running = new Map<string, Task>()
  /** Tasks that were ever out and are not over, by fingerprint: a late result still finds its task. */
  readonly sent = new Map<string, Task>()
  /** How many attempts that count are at which host. */
  readonly attemptsAt = new Map<string, number>()
  /** Tasks that wait for a host. */
  readonly line: TaskLine
  readonly #parts: OpenTasksParts

  constructor(parts: OpenTasksParts) {
    this.#parts = parts
    this.line = new TaskLine(parts.job, parts.journal.tasks, (row) => this.#taskOf(row))
  }

  /** A waiting task goes to a host. */
  take(task: Task): void {
    this.line.remove(task)
    task.move('running')
    this.#isOut(task)
    this.#parts.tell({ kind: 'task', task: task.key, phase: 'running' })
  }

  /** It is not out any more, and waits. */
  comeBack(task: Task): void {
    this.running.delete(task.fingerprint)
    if (task.phase !== 'running') return
    task.move('queued')
    this.#parts.tell({ kind: 'task', task: task.key, phase: 'queued' })
  }

  /** Back into the line of the journal: nothing of it is in memory any more. */
  async standBack(task: Task): Promise<void> {
    const { job, journal, tell, ready } = this.#parts
    this.forget(task)
    // What still comes of this one is not asked for any more.
    if (task.phase === 'running') task.move('queued')
    tell({ kind: 'task', task: task.key, phase: 'queued' })
    await journal.tasks.requeue(job, task)
    this.line.refill()
    ready()
  }

  /** Nothing of a task is in memory any more. */
  forget(task: Task): void {
    this.running.delete(task.fingerprint)
    this.sent.delete(task.fingerprint)
    this.line.removeAll(task.key)
  }

  /** A task that is not over, and to which attempts of this name belong. */
  find(fingerprint: string, key: string): Task | undefined {
    const known = this.sent.get(fingerprint) ?? this.line.ready.find((task) => task.key === key)
    if (known !== undefined) return known.fingerprint === fingerprint ? known : undefined
    const row = this.#parts.journal.tasks.open(this.#parts.job, key)
    const task = row === undefined ? undefined : this.#taskOf(row)
    return task?.fingerprint === fingerprint ? task : undefined
  }

  /** Tasks that an earlier process sent out. */
  restore(): void {
    for (const row of this.#parts.journal.tasks.out(this.#parts.job)) {
      const task = this.#taskOf(row)
      if (task === undefined) continue
      for (const live of row.live) {
        const attempt = task.restoreAttempt(live)
        this.count(attempt, !attempt.lost)
      }
      this.#isOut(task)
    }
  }

  /** Whether an attempt counts for its host's share of the job. */
  count(attempt: LiveAttempt, counts: boolean): void {
    if (attempt.counted === counts) return
    attempt.counted = counts
    const count = (this.attemptsAt.get(attempt.host) ?? 0) + (counts ? 1 : -1)
    if (count > 0) this.attemptsAt.set(attempt.host, count)
    else this.attemptsAt.delete(attempt.host)
  }

  /** The n-th task that checks what one of these has come to. Undefined when what it takes is gone. */
  replica(key: string, n: number): Task | undefined {
    const row = this.#parts.journal.tasks.get(this.#parts.job, key)
    if (row === undefined) return undefined
    const again = { ...row, phase: 'queued', epoch: 0, dispatches: 0, failures: 0 } as const
    // Of another result of the task it is another one, also for a host that remembers the one before.
    const task = this.#made(again, `${row.epoch}.${n}`)
    return this.#gone(task) === undefined ? task : undefined
  }

  #isOut(task: Task): void {
    this.running.set(task.fingerprint, task)
    this.sent.set(task.fingerprint, task)
  }

  #taskOf(row: TaskRow): Task | undefined {
    const task = this.#made(row)
    const gone = this.#gone(task)
    if (gone === undefined) return task
    this.#parts.gone(task, gone)
    return undefined
  }

  #made(row: TaskRow, check?: string): Task {
    const { job, document, clock, lastEpoch, cutting } = this.#parts
    const { salt } = document
    const item: unknown = JSON.parse(row.item)
    const chunk = cutting?.chunkOf(item as ChunkItem)
    const overrides =
      row.overrides === undefined
        ? templated(document, item, chunk?.first ?? row.index)
        : JSON.parse(row.overrides)
    return new Task(row, { job, item, overrides, clock, chunk, salt, check, lastEpoch })
  }

  /** What a task takes and cannot be had any more. */
  #gone(task: Task): ManyhandsError | undefined {
    const { document, inputs } = this.#parts
    return [...document.base.inputs, ...(task.overrides.inputs ?? [])]
      .map(({ root }) => inputs.gone.get(root))
      .find((error) => error !== undefined)
  }
}
