import type { ManyhandsError, TaskResult } from '@manyhands/core'
import type { EndedTasks } from './ended-tasks.ts'
import type { JobNews } from './job-chronicle.ts'
import type { ClientJournal } from './journal/client-journal.ts'
import type { Undone } from './journal/revision-rows.ts'
import type { OpenTasks } from './open-tasks.ts'
import type { Task } from './task.ts'

/** Where tasks were left: what they go on from when they are sent out again. */
export interface LeftOff {
  /** They begin with nothing, from now on. */
  doubt(keys: readonly string[]): void
  /** They go on after all. */
  trust(keys: readonly string[]): void
  /** Nothing is kept of it any more. Does not reject. */
  forget(keys: readonly string[]): Promise<void>
}

export interface UndoneResultsParts {
  job: string
  journal: Pick<ClientJournal, 'tasks'>
  open: OpenTasks
  ended: EndedTasks
  tell(event: JobNews): void
  /** Something can be sent out. */
  ready(): void
  /** A task's result does not count any more. */
  undone(key: string): void
  /** What these do is not asked for any more. */
  outrun(tasks: Task[]): void
  leftOff(): LeftOff
}

/** Results of a job that do not count any more: their tasks run again, and what has taken of them. */
export class UndoneResults {
  readonly #parts: UndoneResultsParts
  /** Grows with every change of results that others may have taken of. */
  revision = 0

  constructor(parts: UndoneResultsParts) {
    this.#parts = parts
  }

  /**
   * A result is lost: its task runs again, and what takes of it waits for that. Those go on from their checkpoints:
   * what they took was right, and what takes its place is as good, as tasks are pure. Whoever took it and is out goes
   * on as well. A host that dies with both would else cost more than an interval.
   */
  async retract(key: string): Promise<void> {
    const { job, journal, open, ended, tell, ready } = this.#parts
    if (!(await journal.tasks.retract(job, key))) return
    ended.uncount('completed')
    const taking = open.line.ready.filter((task) =>
      task.overrides.taken?.some((one) => one.task === key),
    )
    for (const task of taking) open.line.remove(task)
    tell({ kind: 'task', task: key, phase: 'queued' })
    // Those that were sent out before are not in the line of the journal: they go back into it.
    await Promise.all(taking.filter(({ epoch }) => epoch > 0).map((task) => open.standBack(task)))
    open.line.refill()
    ready()
  }

  /**
   * What is in memory of tasks that run again, or that take something of them: none of it is right any more, nor
   * is anything taken of it, nor do they go on from where they were left. To be called inside the transaction, since
   * what is read afterwards is right.
   */
  revoke(undone: readonly Undone[]): Task[] {
    const { sent, line } = this.#parts.open
    this.revision += 1
    const keys = new Set(undone.map(({ key }) => key))
    const stale = [...new Set([...sent.values(), ...line.ready])].filter(
      ({ key, overrides }) => keys.has(key) || overrides.taken?.some((one) => keys.has(one.task)),
    )
    for (const task of stale) task.revoked = true
    this.#parts.leftOff().doubt([...keys])
    return stale
  }

  /** The transaction has failed. @param stale - as {@link revoke} gave them */
  reinstate(undone: readonly Undone[], stale: readonly Task[]): void {
    for (const task of stale) task.revoked = false
    this.#parts.leftOff().trust(undone.map(({ key }) => key))
  }

  /** These run again, by the journal; one of them may have failed. @param stale - as {@link revoke} gave them */
  async runAgain(
    undone: readonly Undone[],
    stale: readonly Task[],
    failure?: TaskResult,
  ): Promise<void> {
    const { open, ended, tell, ready, outrun, leftOff } = this.#parts
    const { running, sent, line } = open
    const out = stale.filter((task) => sent.get(task.fingerprint) === task)
    for (const task of stale) {
      line.remove(task)
      if (running.get(task.fingerprint) === task) running.delete(task.fingerprint)
      if (sent.get(task.fingerprint) === task) sent.delete(task.fingerprint)
      if (task.phase === 'running') task.move('queued')
    }
    if (out.length > 0) outrun(out)
    for (const { key, was } of undone) {
      if (was === 'completed' || was === 'failed' || was === 'canceled') ended.uncount(was)
      this.#parts.undone(key)
      if (was !== 'queued') tell({ kind: 'task', task: key, phase: 'queued' })
    }
    await leftOff().forget(undone.map(({ key }) => key))
    if (failure !== undefined) await ended.fail(failure)
    line.refill()
    ready()
  }

  /** The result of a task that has failed although it had one. */
  failureOf(key: string, error: ManyhandsError): TaskResult {
    const { job, journal, ended } = this.#parts
    const index = journal.tasks.get(job, key)?.index ?? 0
    return ended.unrun({ index, key }, 'failed', error)
  }
}
