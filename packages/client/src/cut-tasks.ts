import type { TaskResult } from '@manyhands/core'
import type { JobNews } from './job-chronicle.ts'
import type { TaskEnd } from './job-counts.ts'
import type { JobCutting } from './job-cutting.ts'
import type { ClientJournal } from './journal/client-journal.ts'
import type { OpenTasks } from './open-tasks.ts'
import type { Task } from './task.ts'
import { restOf } from './task-rest.ts'

export interface CutTasksParts {
  job: string
  cutting: JobCutting
  open: OpenTasks
  journal: Pick<ClientJournal, 'tasks'>
  tell(event: JobNews): void
  /** Something can be sent out. */
  ready(): void
  /** Others were quicker with what these do. */
  outrun(tasks: Task[]): void
}

/** Parts of a range that are tasks: which of them count, and what becomes of those that do not. */
export class CutTasks {
  readonly #parts: CutTasksParts

  constructor(parts: CutTasksParts) {
    this.#parts = parts
  }

  /**
   * A part has failed of itself: it is cut in halves, so that what it fails for is found. Answers false for
   * one that cannot be halved.
   */
  halve(task: Task): boolean {
    const { cutting, tell, ready } = this.#parts
    if (!cutting.halve(task)) return false
    tell({ kind: 'task', task: task.key, phase: 'queued' })
    this.drop(task)
    ready()
    return true
  }

  /** It is no task any more: it is cut anew, as large as suits the next host. */
  drop(task: Task): void {
    const { job, cutting, open, journal } = this.#parts
    open.running.delete(task.fingerprint)
    open.sent.delete(task.fingerprint)
    open.line.remove(task)
    cutting.back(task)
    journal.tasks.drop(job, [task.key]).catch(() => {})
  }

  /** A part that was about to leave is no task yet: it is cut anew. Answers false for one that has left. */
  standBack(task: Task): boolean {
    const { job, cutting, open, journal, ready } = this.#parts
    if (journal.tasks.has(job, task.key)) return false
    open.forget(task)
    task.revoked = true
    cutting.back(task)
    ready()
    return true
  }

  /**
   * It has ended, and is to count. Answers the keys of tasks that cannot any more, or undefined when it cannot
   * itself.
   */
  accept(task: Task, phase: TaskEnd, result: TaskResult): string[] | undefined {
    if (phase === 'completed') this.#shorten(task, result)
    return this.#parts.cutting.accept(task)
  }

  /** It counts, and what it has outrun is over for good. */
  confirm(task: Task): void {
    this.#parts.cutting.confirm(task)
  }

  /** It does not count after all; what it had outrun is as it was. */
  revoke(task: Task): void {
    this.#parts.cutting.revoke(task)
  }

  /** The journal has nothing of it that could end: others have it, or nobody any more. */
  uncut(task: Task): void {
    const { job, cutting, open, journal } = this.#parts
    cutting.revoke(task)
    cutting.back(task)
    if (journal.tasks.has(job, task.key)) return
    task.revoked = true
    open.forget(task)
  }

  /** It counts: others that have some of the same do it for nothing. */
  outrun(task: Task, result: TaskResult, keys: ReadonlySet<string>): void {
    const { cutting, open, outrun } = this.#parts
    cutting.measured(task, result)
    if (keys.size === 0) return
    const late = [...open.sent.values()].filter(({ key }) => keys.has(key))
    for (const other of late) open.forget(other)
    outrun(late)
  }

  /** Nothing is cut any more. Answers how many numbers that leaves. */
  end(): number {
    return this.#parts.cutting.end()
  }

  /** A part may have been left to others by the task itself. */
  #shorten(task: Task, { stdoutTail }: TaskResult): void {
    // A result that a full disk kept out comes here again.
    if (task.shortened) return
    const rest = restOf(stdoutTail, task.chunk!)
    if (rest === undefined) return
    this.#parts.cutting.shorten(task, rest)
    task.shortened = true
  }
}
