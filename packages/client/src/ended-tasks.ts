import { type ErrorDocument, isTerminal, ManyhandsError, type TaskResult } from '@manyhands/core'
import type { CutTasks } from './cut-tasks.ts'
import type { JobNews } from './job-chronicle.ts'
import { endedCounts, type TaskEnd } from './job-counts.ts'
import { countOf } from './job-cutting.ts'
import type { ClientJournal } from './journal/client-journal.ts'
import type { JobRow } from './journal/job-rows.ts'
import type { HeldAt } from './journal/result-rows.ts'
import type { NewTask } from './journal/task-rows.ts'
import type { OpenTasks } from './open-tasks.ts'
import { documentOf, resultWithout } from './result-document.ts'
import type { Task } from './task.ts'

/** Tasks that end together when their job does. */
const PAGE = 512

export interface EndedTasksParts {
  row: JobRow
  journal: Pick<ClientJournal, 'tasks' | 'needs' | 'results'>
  open: OpenTasks
  /** Where the tasks are cut as hosts take them. */
  cut: CutTasks | undefined
  tell(event: JobNews): void
  /** Something can be sent out. */
  ready(): void
  /** Results were accepted. */
  settled(): void
  /** @param held - its outputs are at a host: should they be lost, it runs again */
  completed(task: Task, held: boolean): void
  /** A task has a result, which may be checked. */
  committed(key: string, result: TaskResult): void
  /** Whether the end of a task may be given to the caller. */
  handsOut(key: string, phase: TaskEnd): boolean
  /** Tasks may still run: nobody has ended the job. */
  goesOn(): boolean
}

/** How the tasks of one job end, each once, and what follows from it for others. */
export class EndedTasks {
  /** What went wrong first. */
  firstFailure: ErrorDocument | undefined
  readonly counts: Record<TaskEnd, number>
  readonly #job: string
  readonly #parts: EndedTasksParts
  #graph: boolean

  constructor(parts: EndedTasksParts) {
    const { row, journal } = parts
    this.#parts = parts
    this.#job = row.id
    this.#graph = journal.needs.any(row.id)
    this.counts = endedCounts(row, journal)
  }

  /** How many have ended, however. */
  get over(): number {
    const { completed, failed, canceled } = this.counts
    return completed + failed + canceled
  }

  /** An earlier process may have died between a failure and what follows from it. */
  heed(): void {
    if (this.#graph) this.#strand(this.#parts.journal.needs.unheeded(this.#job)).catch(() => {})
  }

  /** Tasks were read: some of them have failed with that, or need what did not complete. */
  read(tasks: readonly NewTask[]): void {
    const { journal, settled } = this.#parts
    this.#graph ||= tasks.some(({ needs }) => needs.length > 0)
    const failed = new Set(
      tasks
        .flatMap(({ needs }) => needs)
        .filter((need) =>
          ['failed', 'canceled'].includes(journal.tasks.phaseOf(this.#job, need) ?? ''),
        ),
    )
    for (const { index, key, failed: wrong } of tasks) {
      if (wrong === undefined) continue
      const error = ManyhandsError.fromJSON(JSON.parse(wrong).error)
      this.#count('failed', key, this.unrun({ index, key }, 'failed', error))
      settled()
      failed.add(key)
    }
    this.#strand([...failed]).catch(() => {})
  }

  /**
   * Takes a task's end over, once; the journal decides. Resolves whether it was accepted.
   *
   * @param held - where its outputs stay, when they are not here
   */
  async settle(task: Task, phase: TaskEnd, result: TaskResult, held?: HeldAt): Promise<boolean> {
    const { journal, open, completed, committed, ready, settled } = this.#parts
    const { artifact } = result.outputs
    const cut = task.chunk && this.#parts.cut
    // Decided before anything is waited for: of two that overlap, one counts.
    const outrun = cut?.accept(task, phase, result)
    if (cut !== undefined && outrun === undefined) return false
    const end = {
      key: task.key,
      phase,
      document: documentOf(result),
      outputs: artifact === '' ? undefined : artifact,
      held,
      when: () => !task.revoked,
      ...(task.chunk === undefined
        ? {}
        : { index: task.chunk.first, item: JSON.stringify(task.item) }),
    }
    const { accepted, woken } = await journal.tasks
      .accept(this.#job, [end], outrun)
      .catch((cause) => {
        cut?.revoke(task)
        throw cause
      })
    if (task.revoked) {
      // What it says was counted out of the results again, before it was counted in.
      if (accepted[0] === true) this.counts[phase] += 1
      return false
    }
    // Also one that was stood back meanwhile, and stands in the line a second time.
    if (accepted[0] === true || this.#isOver(task.key)) open.forget(task)
    if (accepted[0] !== true) {
      cut?.uncut(task)
      return false
    }
    cut?.confirm(task)
    if (task.phase === 'queued' && phase === 'completed') task.move('running')
    task.move(phase)
    if (phase === 'completed') {
      completed(task, held !== undefined)
      committed(task.key, result)
    }
    this.#count(phase, task.key, { ...result, item: task.item }, countOf(task.chunk))
    if (outrun !== undefined) cut?.outrun(task, result, new Set(outrun))
    if (phase !== 'completed') await this.#strand([task.key])
    if (woken) ready()
    settled()
    return true
  }

  /** Ends all that is not over. */
  async endAll(phase: 'failed' | 'canceled', error: ManyhandsError): Promise<void> {
    const { journal, open, cut } = this.#parts
    await Promise.all(
      [...open.line.ready, ...open.running.values()].map((task) =>
        this.settle(task, phase, this.resultWithout(task, phase, error)),
      ),
    )
    for (;;) {
      const rest = journal.tasks.queued(this.#job, PAGE)
      // What was never cut is no task: it ends with the job.
      if (rest.length === 0) this.counts[phase] += cut?.end() ?? 0
      if (rest.length === 0) return
      await this.#endUnsent(rest.map((task) => ({ ...task, phase, error })))
    }
  }

  /** One of those that had ended so has not. */
  uncount(phase: TaskEnd): void {
    this.counts[phase] -= 1
  }

  /** By the journal, a task that had a result has failed. */
  async fail(failure: TaskResult): Promise<void> {
    this.#count('failed', failure.key, failure)
    await this.#strand([failure.key])
  }

  /** What has ended of a job that goes on, by the journal. */
  journaled(): Record<TaskEnd, number> {
    const { row, journal } = this.#parts
    return endedCounts({ id: row.id, document: row.document, phase: 'running' }, journal)
  }

  /** Failed tasks wait again. @param more - what that adds to the counts; undefined: they are as journaled */
  forgive(more?: Record<TaskEnd, number>): void {
    this.firstFailure = undefined
    const { counts } = this
    const journaled = more === undefined ? this.journaled() : undefined
    for (const phase of ['completed', 'failed', 'canceled'] as const) {
      counts[phase] = journaled?.[phase] ?? counts[phase] + more![phase]
    }
  }

  /** The result of a task that was not decided by an attempt. */
  resultWithout(task: Task, phase: 'failed' | 'canceled', error: ManyhandsError): TaskResult {
    const { key, place: index, item, dispatches } = task
    return resultWithout({ job: this.#job, key, index, item, attempts: dispatches }, phase, error)
  }

  /** The result of a task that is not in memory. */
  unrun(
    { index, key }: { index: number; key: string },
    phase: 'failed' | 'canceled',
    error: ManyhandsError,
  ): TaskResult {
    const of = { job: this.#job, index, key, item: undefined, attempts: 0 }
    return resultWithout(of, phase, error)
  }

  /** Tasks that need one that did not complete never run, nor do those that need them. */
  async #strand(failed: string[]): Promise<void> {
    if (!this.#graph || !this.#parts.goesOn()) return
    const left = [...failed]
    for (let need = left.pop(); need !== undefined; need = left.pop()) {
      const stranded = this.#parts.journal.needs.waitingFor(this.#job, need)
      if (stranded.length === 0) continue
      await this.#endUnsent(
        stranded.map(({ index, key }) => {
          const what = `task ${key} needs ${need}, which did not complete`
          return { index, key, phase: 'canceled', error: new ManyhandsError('NEED_FAILED', what) }
        }),
      )
      for (const { key } of stranded) left.push(key)
    }
  }

  /** Ends tasks that are not in memory. */
  async #endUnsent(
    tasks: { index: number; key: string; phase: 'failed' | 'canceled'; error: ManyhandsError }[],
  ): Promise<void> {
    const results = tasks.map((task) => this.unrun(task, task.phase, task.error))
    const ends = tasks.map(({ key, phase }, n) => ({
      key,
      phase,
      document: documentOf(results[n]!),
      outputs: undefined,
    }))
    const { accepted } = await this.#parts.journal.tasks.accept(this.#job, ends)
    for (const [n, { key, phase }] of tasks.entries()) {
      if (accepted[n]) this.#count(phase, key, results[n]!)
    }
    this.#parts.settled()
  }

  #isOver(key: string): boolean {
    const phase = this.#parts.journal.tasks.phaseOf(this.#job, key)
    return phase !== undefined && isTerminal(phase)
  }

  #count(phase: TaskEnd, task: string, result: TaskResult, count = 1): void {
    const { handsOut, tell } = this.#parts
    this.counts[phase] += count
    if (phase === 'failed') this.firstFailure ??= result.error
    const shown = handsOut(task, phase) ? { result } : {}
    tell({ kind: 'task', task, phase, ...shown })
  }
}
