import type {
  ArtifactStore,
  Clock,
  ErrorDocument,
  JobPhase,
  ManyhandsError,
  TaskPhase,
} from '@manyhands/core'
import type { JobImage } from './images/image-desk.ts'
import type { JobSummary } from './job.ts'
import { JobChronicle, type JobNews } from './job-chronicle.ts'
import { type JobDocument, type JobHooks, missingHooks } from './job-document.ts'
import { JobEnding } from './job-ending.ts'
import type { JobInputs } from './job-inputs.ts'
import { JobMeter } from './job-meter.ts'
import type { JobCounts, JobProgress } from './job-progress.ts'
import { JobRecord } from './job-record.ts'
import { JobTasks } from './job-tasks.ts'
import type { ClientJournal } from './journal/client-journal.ts'
import type { JobRow } from './journal/job-rows.ts'
import { inputsOwner, type Task } from './task.ts'
import type { TaskKeeper } from './task-keeper.ts'
import type { LeftOff } from './undone-results.ts'
import type { CheckingParts, JobChecking } from './verify/job-checking.ts'
import { openChecking } from './verify/open-checking.ts'

export interface JobRunParts {
  journal: ClientJournal
  store: ArtifactStore
  checking: CheckingParts
  inputs: JobInputs
  hooks: JobHooks
  image: JobImage | undefined
  clock: Clock
  /** Attempts up to this number were another client's: then its inputs may come from elsewhere, too. */
  lastEpoch?: number
  /** Whether somebody may have its owner key. */
  shared(): boolean
  /** `false`: an earlier process submitted it, and nobody has asked for it in this one. */
  attached: boolean
}

/**
 * One job in progress: its phase, its tasks, what is told of it and how it ends. Where tasks run is not
 * its affair.
 */
export class JobRun {
  readonly id: string
  readonly name: string
  readonly document: JobDocument
  readonly hooks: JobHooks
  readonly inputs: JobInputs
  image: JobImage | undefined
  readonly tasks: JobTasks
  readonly ending: JobEnding
  /** Where results are checked. */
  readonly checking: JobChecking | undefined
  /** Hosts that are not asked again for this job, with what they said. */
  readonly excluded = new Map<string, ErrorDocument>()
  readonly chronicle: JobChronicle
  readonly meter: JobMeter
  /** Since when no host fits, monotonic ms. */
  stalledSince: number | undefined
  /** What the scheduler wants to be told: there is something to send out. */
  onReady: () => void = () => {}
  /** Others were quicker with what these tasks do: their attempts are to be ended. */
  onOutrun: (tasks: Task[]) => void = () => {}
  /** Where its tasks were left, told by who keeps that. */
  leftOff: LeftOff = { doubt: () => {}, trust: () => {}, forget: async () => {} }
  /** Somebody who waits for results. */
  onSettled: () => void = () => {}
  readonly #parts: JobRunParts
  readonly #record: JobRecord
  #attached: boolean
  #complained = false

  /** Takes up a job where the journal has it. */
  constructor(row: JobRow, parts: JobRunParts) {
    const { clock } = parts
    this.id = row.id
    this.name = row.name
    this.document = row.document
    this.hooks = parts.hooks
    this.inputs = parts.inputs
    this.image = parts.image
    this.#parts = parts
    this.#attached = parts.attached
    this.meter = new JobMeter(clock.now)
    this.chronicle = new JobChronicle(row.id, clock, () => this.progress)
    const news = {
      tell: (event: JobNews) => this.tell(event),
      ready: () => this.onReady(),
      settled: () => {
        this.onSettled()
        this.ending.finishIfDone()
      },
    }
    const record = new JobRecord(row, { ...parts, ...news, meter: this.meter })
    this.#record = record
    this.tasks = new JobTasks(row, {
      ...parts,
      ...news,
      lastEpoch: parts.lastEpoch ?? 0,
      completed: (task, held) => {
        this.meter.completed(task)
        if (!held) this.letGoInputs(task)
      },
      committed: (key, { host }) => this.checking?.committed(key, host!),
      undone: (key) => this.checking?.withdrawn(key),
      leftOff: () => this.leftOff,
      handsOut: (key, phase) => this.handsOut(key, phase),
      outrun: (tasks) => {
        for (const task of tasks) if (task.chunk !== undefined) this.letGoInputs(task)
        this.onOutrun(tasks)
      },
      broken: (error) => {
        record.error ??= error.toJSON()
      },
      goesOn: () => record.goesOn,
    })
    this.checking = openChecking(row, {
      ...parts,
      ...news,
      tasks: this.tasks,
      dropped: (tasks) => this.onOutrun(tasks),
      over: () => this.over,
    })
    this.ending = new JobEnding({
      ...{ record, tasks: this.tasks, checking: this.checking, chronicle: this.chronicle },
      journal: parts.journal,
      ready: news.ready,
      summary: () => this.summary,
      settled: () => this.onSettled(),
    })
  }

  get phase(): JobPhase {
    return this.#record.phase
  }

  /** Resolves when its phase is in the journal. */
  get moved(): Promise<void> {
    return this.#record.moved
  }

  setPhase(phase: JobPhase): void {
    this.#record.setPhase(phase)
  }

  get over(): boolean {
    return this.#record.over
  }

  get ended(): PromiseWithResolvers<JobSummary> {
    return this.ending.ended
  }

  /** Rejects when this process does nothing more for it, which the journal has as it is. */
  get left(): PromiseWithResolvers<never> {
    return this.ending.left
  }

  /** Parts of its spec that this process was not given, and without which it cannot go on. */
  get missing(): string[] {
    if (this.over) return []
    const inputs = [...this.inputs.awaited].map(([root, path]) => `input ${path ?? root}`)
    return [...missingHooks(this.document, this.hooks, this.tasks.intake.done), ...inputs]
  }

  /** Who keeps a task of it. */
  keeperOf(task: Task): TaskKeeper {
    return task.checks ? this.checking!.replicas : this.tasks
  }

  /** Whether nothing of it is out. */
  get idle(): boolean {
    return this.tasks.running.size === 0 && (this.checking?.replicas.running.size ?? 0) === 0
  }

  /** Everything that is out of it. */
  get running(): Task[] {
    return [...this.tasks.running.values(), ...(this.checking?.replicas.running.values() ?? [])]
  }

  /** A task that was ever out and is not over. */
  sent(fingerprint: string): Task | undefined {
    return this.tasks.sent.get(fingerprint) ?? this.checking?.replicas.sent.get(fingerprint)
  }

  /** Whether the end of a task may be given to the caller. */
  handsOut(key: string, phase: TaskPhase): boolean {
    return this.checking?.handsOut(key, phase) ?? true
  }

  /** All that is out waits again. Resolves when that is durable. */
  async standDown(): Promise<void> {
    await Promise.all([this.tasks.standDown(), this.checking?.replicas.standDown()])
  }

  /** Whether somebody in this process has asked for it. */
  get attached(): boolean {
    return this.#attached
  }

  /** Somebody asks for a job of an earlier process, and gives what the journal could not keep. */
  attach(given: JobHooks): void {
    this.give(given)
    this.#attached = true
  }

  /** What the journal could not keep. */
  give(given: JobHooks): void {
    for (const [name, hook] of Object.entries(given)) {
      if (hook !== undefined) Object.assign(this.hooks, { [name]: hook })
    }
  }

  /** Why this client has no say in it any more: another one continues it. */
  get fenced(): ManyhandsError | undefined {
    return this.ending.fenced
  }

  /** Whether tasks may be sent out now. */
  get dispatching(): boolean {
    if (!this.#working || !this.tasks.intake.open) return false
    return this.phase === 'queued' || this.phase === 'running'
  }

  get counts(): JobCounts {
    return this.tasks.counts
  }

  get progress(): JobProgress {
    const { counts, dispatching, tasks } = this
    const { unit } = this.document
    return this.meter.progress({ counts, dispatching, running: tasks.running.values(), unit })
  }

  get summary(): JobSummary {
    const { phase, error, spent } = this.#record
    return {
      ...{ id: this.id, name: this.name, phase, counts: this.counts },
      ...spent,
      ...(error === undefined ? {} : { error }),
    }
  }

  tell(event: JobNews): void {
    this.chronicle.tell(event)
  }

  /** Something of the spec is wrong that need not end the job: it is told once, and ranks last. */
  complain(error: ManyhandsError): void {
    if (this.#complained) return
    this.#complained = true
    this.tell({ kind: 'job', phase: this.phase, error: error.toJSON() })
  }

  /** Something that progress shows has changed. */
  progressed(): void {
    if (!this.over) this.chronicle.progressed()
  }

  /** Reads on until enough tasks wait. @throws as JobTasks.fill */
  async fill(): Promise<void> {
    if (!this.#working) return
    const { done } = this.tasks.intake
    await this.tasks.fill()
    // Where there was no room, nothing has changed: whoever looks again at every change would do so for ever.
    if (done || !this.tasks.intake.done) return
    this.onReady()
    this.ending.finishIfDone()
  }

  /** A waiting task goes to a host. */
  take(task: Task): void {
    if (this.phase === 'queued') this.setPhase('running')
    this.keeperOf(task).take(task)
  }

  /** A task has a result that nothing takes back: what it alone took is not needed any more. */
  letGoInputs(task: Parameters<typeof inputsOwner>[0]): void {
    // What is checked may have to run again, here and elsewhere, until all checks are done.
    if (this.document.verify !== undefined) return
    const { journal, shared } = this.#parts
    // Its result may be at its host alone for whoever continues the job: when that vanishes, it runs again there,
    // by the rows of this journal. Parts of a range get their inputs as they leave.
    if (task.chunk === undefined && shared()) return
    const forget = (roots: () => string[]) =>
      journal.transact(() => journal.jobs.deleteInputs(this.id, roots()))
    // What cannot be forgotten, as a disk is full, is held once more by the next process.
    this.inputs.letGo(inputsOwner(task), forget).catch(() => {})
  }

  /** Inputs have come to a task that may have ended, here or elsewhere, while they were looked for. */
  supplied(task: Task): void {
    const { fingerprint, key, chunk } = task
    const now = this.sent(fingerprint)
    if (now === task) return
    const result = this.#parts.journal.results.of(this.id, key)
    const needless =
      chunk === undefined
        ? result?.phase === 'completed' && result.held === undefined
        : now === undefined
    if (needless) this.letGoInputs(task)
  }

  get #working(): boolean {
    return this.#attached && this.#record.goesOn && !this.over && this.missing.length === 0
  }
}
