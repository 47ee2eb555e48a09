import {
  type ErrorDocument,
  isTerminal,
  type ManyhandsError,
  type TaskResult,
} from '@manyhands/core'
import { adoptedInputs, type FoundAttempt } from './adopted-inputs.ts'
import { CutTasks, type CutTasksParts } from './cut-tasks.ts'
import { EndedTasks, type EndedTasksParts } from './ended-tasks.ts'
import type { TaskEnd } from './job-counts.ts'
import { type ChunkItem, JobCutting } from './job-cutting.ts'
import type { JobDocument, JobHooks } from './job-document.ts'
import type { JobInputs } from './job-inputs.ts'
import { JobIntake } from './job-intake.ts'
import type { JobCounts } from './job-progress.ts'
import type { ClientJournal } from './journal/client-journal.ts'
import type { JobRow } from './journal/job-rows.ts'
import type { HeldAt } from './journal/result-rows.ts'
import { OpenTasks, type OpenTasksParts } from './open-tasks.ts'
import { documentOf } from './result-document.ts'
import type { LiveAttempt, Task } from './task.ts'
import type { TaskKeeper } from './task-keeper.ts'
import { READY_WINDOW } from './task-line.ts'
import { UndoneResults, type UndoneResultsParts } from './undone-results.ts'

/** So far a source is read for tasks that others have sent out. */
const READ_AHEAD = 65_536

/** What is tried again: how many tasks, what that changes in the counts, and parts that are cut anew. */
export interface Retried {
  tasks: number
  ended: Record<TaskEnd, number>
  dropped: ChunkItem[]
}

export interface JobTasksParts
  extends Pick<OpenTasksParts, 'clock' | 'lastEpoch' | 'tell' | 'ready'>,
    Pick<CutTasksParts, 'outrun'>,
    Pick<EndedTasksParts, 'settled' | 'completed' | 'committed' | 'handsOut' | 'goesOn'>,
    Pick<UndoneResultsParts, 'undone' | 'leftOff'> {
  journal: ClientJournal
  inputs: JobInputs
  hooks: JobHooks
  /** The source itself failed: what was read is all there is. */
  broken(error: ManyhandsError): void
}

/**
 * The tasks of one job: how they come from its source, wait, are out, and end. The journal has all of
 * them; in memory are those that wait next and those that are out.
 */
export class JobTasks implements TaskKeeper {
  readonly intake: JobIntake
  /** Where the tasks are cut as hosts take them. */
  readonly cutting: JobCutting | undefined
  /** Results that do not count any more. */
  readonly undone: UndoneResults
  readonly #job: string
  readonly #document: JobDocument
  readonly #parts: JobTasksParts
  readonly #open: OpenTasks
  readonly #cut: CutTasks | undefined
  readonly #ended: EndedTasks

  /** Takes up the tasks of a job where the journal has them. */
  constructor(row: JobRow, parts: JobTasksParts) {
    const { document, sourceDone } = row
    const { split, range, items } = document
    const of = { ...parts, job: row.id, document }
    const over = isTerminal(row.phase)
    this.#job = row.id
    this.#document = document
    this.#parts = parts
    const cutting = split && (range ?? items) !== undefined ? new JobCutting(of) : undefined
    this.cutting = cutting
    const open = new OpenTasks({
      ...of,
      cutting,
      gone: (task, error) => {
        this.settle(task, 'failed', this.resultWithout(task, 'failed', error)).catch(() => {})
      },
    })
    this.#open = open
    this.#cut = cutting && new CutTasks({ ...of, cutting, open })
    this.#ended = new EndedTasks({ ...parts, row, open, cut: this.#cut })
    this.undone = new UndoneResults({ ...of, open, ended: this.#ended })
    this.intake = new JobIntake({
      ...of,
      done: sourceDone || split === true,
      over,
      room: () => READY_WINDOW - (this.intake.read - this.#ended.over - open.running.size),
      wrote: (tasks, waiting) => {
        this.#ended.read(tasks)
        open.line.add(waiting)
        open.line.refill()
        parts.ready()
      },
      failure: (index, key, error) =>
        documentOf(this.#ended.unrun({ index, key }, 'failed', error)),
    })
    if (over) return
    open.restore()
    this.#ended.heed()
  }

  get ready(): readonly Task[] {
    return this.#open.line.ready
  }

  get running(): ReadonlyMap<string, Task> {
    return this.#open.running
  }

  get sent(): ReadonlyMap<string, Task> {
    return this.#open.sent
  }

  /** How many attempts that count are at which host. */
  get attemptsAt(): ReadonlyMap<string, number> {
    return this.#open.attemptsAt
  }

  /** What went wrong first. */
  get firstFailure(): ErrorDocument | undefined {
    return this.#ended.firstFailure
  }

  /** Whether all of the source was read, and each task of it has ended. */
  get allOver(): boolean {
    const { done, filling, read } = this.intake
    const { line, running } = this.#open
    if (!done || filling || !line.empty || (this.cutting?.waiting ?? 0) > 0) return false
    return running.size === 0 && this.#ended.over >= (this.cutting?.size ?? read)
  }

  get counts(): JobCounts {
    const { read, done } = this.intake
    const { split, total: known } = this.#document
    const { over, counts: ended } = this.#ended
    const total = done && !split ? read : known
    // What two hosts have at once is running once.
    const running =
      this.cutting === undefined
        ? this.running.size
        : this.cutting.size - over - this.cutting.waiting
    return {
      queued: Math.max(0, (total ?? read) - over - running),
      running,
      ...ended,
      ...(total === undefined ? {} : { total }),
    }
  }

  /**
   * Reads on in the source and in the line until enough tasks wait. Resolves when the source has been
   * read as far as there is room.
   *
   * @throws SPEC_INVALID for a graph that is none
   */
  async fill(): Promise<void> {
    this.#open.line.refill()
    if (!this.intake.done) await this.intake.fill()
  }

  /** Whether an attempt counts for its host's share of the job. */
  count(attempt: LiveAttempt, counts: boolean): void {
    this.#open.count(attempt, counts)
  }

  take(task: Task): void {
    this.#open.take(task)
  }

  /**
   * Puts a task back in front: it has waited before.
   *
   * @param unused - no host has done anything of it: a part of a range is cut anew, as large as suits the
   *   next one. Else it stays what it is, with all that is counted against it.
   */
  requeue(task: Task, unused = false): void {
    const { tasks } = this.#parts.journal
    task.takenBytes = undefined
    if (task.overrides.taken !== undefined && tasks.unmet(this.#job, task.key) > 0) {
      this.#open.standBack(task).catch(() => {})
      return
    }
    this.#open.comeBack(task)
    if (task.chunk !== undefined && unused && task.failures === 0) this.#cut!.drop(task)
    else this.#open.line.putBack(task)
    this.#parts.ready()
  }

  /** Takes a task's end over, once; the journal decides. @param held - where its outputs stay, if not here */
  settle(task: Task, phase: TaskEnd, result: TaskResult, held?: HeldAt): Promise<boolean> {
    return this.#ended.settle(task, phase, result, held)
  }

  /**
   * Attempts that earlier owners of the job have sent to a host. Resolves with those of tasks that are not
   * over, which are out then; it reads on in the source as far as it has to.
   */
  async adopt(
    host: string,
    found: readonly FoundAttempt[],
    adopting: (found: FoundAttempt) => void,
  ): Promise<{ task: Task; attempt: LiveAttempt }[]> {
    const { tasks } = this.#parts.journal
    const upTo = this.intake.read + READ_AHEAD
    const unknown = () => found.some(({ task: key }) => !tasks.has(this.#job, key))
    while (unknown() && !this.intake.done && this.intake.known && this.intake.read < upTo) {
      await this.intake.readOn()
    }
    return found.flatMap((one) => {
      const { id, task: key, inputs: said, restore } = one
      const at = id.lastIndexOf('.')
      const task = this.#open.find(id.slice(0, at), key)
      if (task === undefined || task.attempts.has(id)) return []
      if (task.phase === 'queued') this.take(task)
      adopting(one)
      const inputs = adoptedInputs(task, this.#document.base, said)
      const attempt = task.adoptAttempt(Number(id.slice(at + 1)), host, { inputs, restore })
      this.count(attempt, true)
      return [{ task, attempt }]
    })
  }

  /** Ends all that is not over. */
  endAll(phase: 'failed' | 'canceled', error: ManyhandsError): Promise<void> {
    return this.#ended.endAll(phase, error)
  }

  /**
   * A part of a range has failed of itself: it is cut in halves, so that what it fails for is found. Answers
   * false for what cannot be halved.
   */
  halve(task: Task): boolean {
    return task.chunk !== undefined && this.#cut!.halve(task)
  }

  holder(): string {
    return this.#job
  }

  async standDown(): Promise<void> {
    const back = async (task: Task) => {
      if (task.chunk === undefined || !this.#cut!.standBack(task)) await this.#open.standBack(task)
    }
    await Promise.all([...this.running.values()].map(back))
  }

  /** The n-th task that checks what one of these has come to. Undefined when what it takes is gone. */
  replica(key: string, n: number): Task | undefined {
    return this.#open.replica(key, n)
  }

  /**
   * Failed tasks wait again, and those that could not run for their sake, and what was not read when the job
   * ended. Answers how many of them are tasks already. Inside a transaction of the journal.
   */
  retry(): Retried {
    const { tasks: rows } = this.#parts.journal
    const before = this.#ended.journaled()
    const dropped = this.cutting === undefined ? [] : rows.dropFailed(this.#job)
    const tasks = this.cutting === undefined ? rows.retry(this.#job) : dropped.length
    const after = this.#ended.journaled()
    // Of what ends in the same moment, nothing is counted twice.
    const ended = {
      completed: after.completed - before.completed,
      failed: after.failed - before.failed,
      canceled: after.canceled - before.canceled,
    }
    return { tasks, ended, dropped: dropped.map(({ item }) => JSON.parse(item) as ChunkItem) }
  }

  /** After {@link retry} has become durable. @param wasOver - the job had ended */
  retried({ ended, dropped }: Retried, wasOver: boolean): void {
    // One that is being ended now goes on being ended.
    if (wasOver) this.intake.reopen()
    this.#ended.forgive(wasOver ? undefined : ended)
    if (wasOver) this.cutting?.reopen()
    else for (const item of dropped) this.cutting!.forgive(item)
    this.#open.line.refill()
  }

  /** The result of a task that was not decided by an attempt. */
  resultWithout(task: Task, phase: 'failed' | 'canceled', error: ManyhandsError): TaskResult {
    return this.#ended.resultWithout(task, phase, error)
  }
}
