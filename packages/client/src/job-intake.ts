import { type Clock, itemRange, LIMITS, ManyhandsError, toManyhandsError } from '@manyhands/core'
import { DISK_FULL_WAIT_MS } from './disk-full-wait.ts'
import type { JobDocument, JobHooks } from './job-document.ts'
import type { JobInputs } from './job-inputs.ts'
import type { ClientJournal } from './journal/client-journal.ts'
import type { NewTask, TaskRow } from './journal/task-rows.ts'
import { keyOf, taskDocument } from './task-documents.ts'

/** Tasks that become durable together. */
const BATCH = 256

export interface IntakeOptions {
  job: string
  document: JobDocument
  hooks: JobHooks
  inputs: JobInputs
  journal: ClientJournal
  clock: Clock
  /** Whether an earlier process has read the source to its end. */
  done: boolean
  /** Whether the job is over, so that nothing more is read. */
  over: boolean
  /** How many more tasks there is room for now. */
  room(): number
  /** They are in the journal; these of them wait for nobody. */
  wrote(tasks: NewTask[], waiting: TaskRow[]): void
  /** JSON of the result of a task that cannot be what its source says. */
  failure(index: number, key: string, error: ManyhandsError): string
  /** The source itself failed: what was read is all there is. */
  broken(error: ManyhandsError): void
}

/**
 * Reads a job's source into the journal. A source that is data already, or that needs no program to be
 * read on, is read as far as there is work for it; one that would be lost with this process is read at
 * once, where it has an end. What runs is in the journal first.
 */
export class JobIntake {
  readonly #options: IntakeOptions
  #source: Source | undefined
  #read: number
  #done: boolean
  #stopped = false
  #filling: Promise<void> | undefined
  /**
   * The last key, while all were whole numbers that grow: then a larger one is new, and nobody need be asked.
   * Undefined when that is over.
   */
  #lastNumber: number | undefined
  /** An item that was asked for and has not come yet. */
  #pending: Promise<IteratorResult<unknown>> | undefined
  /** {@link #lastNumber} as of what is in the journal. */
  #lastWritten: number | undefined
  /** Ends what is waited for, when nothing more is read. */
  #giveUp: (() => void) | undefined

  constructor(options: IntakeOptions) {
    this.#options = options
    const { journal, job, done, over } = options
    this.#done = done
    this.#stopped = over && !done
    this.#read = journal.tasks.read(job)
    if (this.#read === 0) this.#lastNumber = Number.NEGATIVE_INFINITY
    this.#lastWritten = this.#lastNumber
  }

  /** Read to the end before the caller is told that the job is taken. */
  get eager(): boolean {
    const { document, hooks } = this.#options
    if (Array.isArray(hooks.tasks)) return true
    if (document.range === undefined || hooks.task === undefined) return false
    return document.total! <= LIMITS.tasksBeforehand
  }

  /** How many items are in the journal. */
  get read(): number {
    return this.#read
  }

  get done(): boolean {
    return this.#done || this.#stopped
  }

  /** Whether every item of the source is in the journal. */
  get complete(): boolean {
    return this.#done
  }

  get filling(): boolean {
    return this.#filling !== undefined
  }

  /** Whether its tasks may be sent out: not before a graph is known to be one. */
  get open(): boolean {
    return this.#done || !this.eager || this.#options.hooks.task === undefined
  }

  /** Whether this process has its source. */
  get known(): boolean {
    const { document, hooks } = this.#options
    if (document.hooks.includes('task') && hooks.task === undefined) return false
    return hooks.tasks !== undefined || document.range !== undefined
  }

  /** Reads a little further, whether there is room or not. */
  async readOn(): Promise<void> {
    if (this.done) return
    await this.#filling
    this.#filling ??= this.#fill(this.#read + BATCH).finally(() => {
      this.#filling = undefined
    })
    await this.#filling
  }

  /** Reads on as far as there is room. Resolves when it has; rejects only for what the caller did wrong. */
  fill(): Promise<void> {
    if (this.done) return Promise.resolve()
    this.#filling ??= this.#fill().finally(() => {
      this.#filling = undefined
    })
    return this.#filling
  }

  /** Nothing more is read. What was read and is not in the journal yet is as if it had not been. */
  stop(): void {
    if (this.#done) return
    this.#stopped = true
    this.#giveUp?.()
    void Promise.resolve(this.#source?.return?.()).catch(() => {})
  }

  /** Resolves when nothing is being read or written: soon, once it was stopped. */
  async settled(): Promise<void> {
    await this.#filling?.catch(() => {})
  }

  /**
   * What was not in the journal when it was stopped is read after all; a source that can be read once is missing
   * then. To be called when it has {@link settled}.
   */
  reopen(): void {
    if (!this.#stopped) return
    const { hooks, journal, job } = this.#options
    const read = journal.tasks.read(job)
    // What could not be written may be there all the same.
    this.#lastNumber = read === this.#read ? this.#lastWritten : undefined
    this.#lastWritten = this.#lastNumber
    this.#read = read
    this.#stopped = false
    this.#source = undefined
    this.#pending = undefined
    if (typeof hooks.tasks !== 'string' && !Array.isArray(hooks.tasks)) hooks.tasks = undefined
  }

  async #fill(upTo = 0): Promise<void> {
    const source = await this.#opened()
    const wanted = () => this.eager || this.#read < upTo || this.#options.room() > 0
    while (!this.done && wanted()) {
      const { batch, ended } = await this.#batch(source)
      if (this.#stopped) return
      const waiting = await this.#write(batch, ended)
      this.#read += batch.length
      this.#lastWritten = this.#lastNumber
      if (this.#stopped) return
      if (ended && this.eager) this.#checkGraph()
      this.#done = ended
      this.#options.wrote(batch, waiting)
      // Others have a turn between two batches of a long source.
      await this.#turn()
    }
  }

  async #batch(source: Source): Promise<{ batch: NewTask[]; ended: boolean }> {
    const batch: NewTask[] = []
    try {
      while (batch.length < BATCH) {
        this.#pending ??= Promise.resolve(source.next())
        // What was read is not kept waiting for a source that is slow with the next item.
        const next =
          batch.length === 0
            ? await this.#unlessStopped(this.#pending)
            : await Promise.race([this.#pending, this.#turn()])
        if (next === undefined || this.#stopped) return { batch, ended: false }
        this.#pending = undefined
        if (next.done) return { batch, ended: true }
        const task = await this.#taskOf(next.value, batch)
        this.#lastNumber = this.#growing(task.key)
        batch.push(task)
      }
      return { batch, ended: false }
    } catch (cause) {
      // What it says after it was told to stop is no fault of it.
      if (this.#stopped) return { batch, ended: false }
      const error = toManyhandsError(cause, 'SPEC_INVALID')
      this.#options.broken(
        error.code === 'INTERNAL' || !(cause instanceof ManyhandsError)
          ? new ManyhandsError(
              'SPEC_INVALID',
              `the source of tasks failed after ${this.#read + batch.length} items: ${(cause as Error)?.message ?? cause}`,
              { cause },
            )
          : error,
      )
      return { batch, ended: true }
    }
  }

  /** A task that cannot be is a failed task; the others do not suffer from it. */
  async #taskOf(item: unknown, batch: NewTask[]): Promise<NewTask> {
    const { job, document, hooks, inputs, journal } = this.#options
    const index = this.#read + batch.length
    const taken = (key: string) =>
      this.#growing(key) === undefined &&
      (batch.some((task) => task.key === key) || journal.tasks.has(job, key))
    let key = keyOf(item, index)
    try {
      const text = itemText(item, index)
      const of = { document, task: hooks.task, inputs }
      const described = await taskDocument(of, item, index)
      key = described.key
      if (described.explicit && taken(key)) {
        throw new ManyhandsError(
          'SPEC_INVALID',
          `task(${index}).key: '${key}' is the key of another task`,
        )
      }
      if (taken(key)) key = `${key}~${index}`
      const { needs, takes, overrides } = described
      if (!this.eager) this.#checkEarlier(key, needs, taken)
      return {
        index,
        key,
        item: text,
        overrides: overrides === undefined ? undefined : JSON.stringify(overrides),
        needs,
        takes,
      }
    } catch (cause) {
      const error = toManyhandsError(cause, 'SPEC_INVALID')
      // Others may need it by the name that it was given.
      if (typeof error.details?.['key'] === 'string') key = error.details['key']
      const free = taken(key) ? `${key}~${index}` : key
      const failed = this.#options.failure(index, free, error)
      return {
        index,
        key: free,
        item: safeText(item),
        overrides: undefined,
        needs: [],
        takes: [],
        failed,
      }
    }
  }

  /** The number that a key is, when it goes on a line of growing numbers. */
  #growing(key: string): number | undefined {
    if (this.#lastNumber === undefined) return undefined
    const number = Number(key)
    const grows = Number.isSafeInteger(number) && number > this.#lastNumber
    return grows && String(number) === key ? number : undefined
  }

  /** Of a source that is read bit by bit, nobody knows what is to come. */
  #checkEarlier(key: string, needs: string[], taken: (key: string) => boolean): void {
    const missing = needs.find((need) => !taken(need))
    if (missing === undefined) return
    throw new ManyhandsError(
      'SPEC_INVALID',
      `task '${key}' needs '${missing}', which is no earlier task`,
      {
        hint: 'A source that is read bit by bit may only need what came before; give an array to need what comes later.',
      },
    )
  }

  async #write(batch: NewTask[], ended: boolean): Promise<TaskRow[]> {
    const { job, journal, inputs, clock } = this.#options
    const named = inputs.unsaved()
    for (;;) {
      try {
        let waiting: TaskRow[] = []
        const work = () => {
          journal.jobs.insertInputs(job, named)
          waiting = journal.tasks.insert(job, batch)
          if (ended) journal.jobs.markSourceDone(job)
        }
        // What the caller is told of is durable; of the rest nobody hears before it was sent out, which is
        // durable before it leaves.
        const told = this.eager || batch.some(({ failed }) => failed !== undefined)
        await (told ? journal.transact(work) : journal.commit(work))
        return waiting
      } catch (cause) {
        if (toManyhandsError(cause).code !== 'DISK_FULL' || this.#stopped) throw cause
        await this.#unlessStopped(clock.delay(DISK_FULL_WAIT_MS))
        if (this.#stopped) throw cause
      }
    }
  }

  #checkGraph(): void {
    const fault = this.#options.journal.needs.fault(this.#options.job)
    if (fault === undefined) return
    const { message, hint } =
      fault.kind === 'missing'
        ? {
            message: `task '${fault.key}' needs '${fault.need}', which is no task of this job`,
            hint: 'Name the key of another task in needs.',
          }
        : {
            message: `tasks need each other in a circle: ${[...fault.keys, fault.keys[0]].join(' → ')}`,
            hint: 'Take one of these needs away.',
          }
    throw new ManyhandsError('SPEC_INVALID', message, { hint, details: { ...fault } })
  }

  /** What an earlier process has read is passed over. */
  async #opened(): Promise<Source> {
    if (this.#source !== undefined) return this.#source
    const { document, hooks } = this.#options
    const source = sourceOf(hooks.tasks ?? document.range ?? [])
    this.#source = source
    for (let index = 0; index < this.#read && !this.#stopped; index += 1) {
      const next = await this.#unlessStopped(Promise.resolve(source.next()))
      if (next === undefined || next.done) break
    }
    return source
  }

  /** Undefined as soon as nothing more is read: a source may never come to its next item. */
  #unlessStopped<T>(waited: Promise<T>): Promise<T | undefined> {
    return new Promise((resolve, reject) => {
      this.#giveUp = () => resolve(undefined)
      waited.then(resolve, reject)
      if (this.#stopped) resolve(undefined)
    })
  }

  #turn(): Promise<undefined> {
    return new Promise((resolve) => this.#options.clock.soon(() => resolve(undefined)))
  }
}

type Source = AsyncIterator<unknown> | Iterator<unknown>

function sourceOf(tasks: string | Iterable<unknown> | AsyncIterable<unknown>): Source {
  if (typeof tasks === 'string') return itemRange(tasks)[Symbol.iterator]()
  if (Symbol.asyncIterator in tasks) return tasks[Symbol.asyncIterator]()
  return tasks[Symbol.iterator]()
}

function itemText(item: unknown, index: number): string {
  try {
    return JSON.stringify(item) ?? 'null'
  } catch (cause) {
    throw new ManyhandsError(
      'SPEC_INVALID',
      `item ${index} cannot be written as JSON: ${(cause as Error).message}`,
      { cause },
    )
  }
}

function safeText(item: unknown): string {
  try {
    return JSON.stringify(item) ?? 'null'
  } catch {
    return 'null'
  }
}
