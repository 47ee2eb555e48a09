import { ManyhandsError } from '@manyhands/core'
import type { JobSummary } from './job.ts'
import type { JobChronicle } from './job-chronicle.ts'
import type { JobRecord } from './job-record.ts'
import type { JobTasks, Retried } from './job-tasks.ts'
import type { ClientJournal } from './journal/client-journal.ts'
import type { Task } from './task.ts'
import type { JobChecking } from './verify/job-checking.ts'

export interface JobEndingParts {
  record: JobRecord
  tasks: JobTasks
  /** Where results are checked. */
  checking: JobChecking | undefined
  chronicle: JobChronicle
  journal: Pick<ClientJournal, 'jobs' | 'transact'>
  /** Something can be sent out. */
  ready(): void
  summary(): JobSummary
  /** Somebody who waits for results is told. */
  settled(): void
}

/** How one job ends: when all of it is over, before its time, or for this process alone; and how it goes on. */
export class JobEnding {
  ended = Promise.withResolvers<JobSummary>()
  /** Rejects when this process does nothing more for it, which the journal has as it is. */
  readonly left = Promise.withResolvers<never>()
  readonly #parts: JobEndingParts
  #fenced: ManyhandsError | undefined
  /** Settles when it has ended before its time, where somebody wanted that. */
  #ending = Promise.resolve()

  constructor(parts: JobEndingParts) {
    this.#parts = parts
    this.left.promise.catch(() => {})
    if (parts.record.over) this.#conclude()
  }

  /** Why this client has no say in it any more: another one continues it. */
  get fenced(): ManyhandsError | undefined {
    return this.#fenced
  }

  /** Another client continues it. Here it stands still as it is, for good. */
  fence(error: ManyhandsError): void {
    const { record } = this.#parts
    if (this.#fenced !== undefined || record.over) return
    this.#fenced = error
    record.error = error.toJSON()
    if (record.phase !== 'paused') record.setPhase('paused')
    this.#stop(error)
  }

  /** Nothing of it goes on in this process; what the journal has stays as it is. */
  leave(): void {
    const { id } = this.#parts.record
    this.#stop(
      new ManyhandsError('CLOSED', `the client of job ${id} is closed; the job is not over`, {
        hint: 'Open a client with the same state, and take it up with client.job(id).',
      }),
    )
  }

  /**
   * Ends the job before its time: what waits is over at once, what runs is given back to be ended at
   * the hosts.
   */
  abort(phase: 'failed' | 'canceled', error: ManyhandsError): Task[] {
    const { record, tasks, checking } = this.#parts
    if (record.over || !record.goesOn) return []
    record.goesOn = false
    tasks.intake.stop()
    record.error = error.toJSON()
    const running = [...tasks.running.values(), ...(checking?.stop() ?? [])]
    // What checks have decided is true first.
    this.#ending = (checking?.idle() ?? Promise.resolve())
      .then(() => tasks.endAll(phase, error))
      .catch(() => {})
      .then(() => {
        record.goesOn = true
        this.#finish(phase, false)
      })
    return running
  }

  finishIfDone(): void {
    const { record, tasks, checking } = this.#parts
    if (!record.goesOn || record.over || !tasks.allOver) return
    if (checking?.closed() === false) return
    const failed = tasks.counts.failed > 0 || record.error !== undefined
    this.#finish(failed ? 'failed' : 'completed', checking !== undefined)
  }

  /**
   * Takes failed tasks up again, those that could not run for their sake, and what was not read when the job
   * ended. Resolves how many tasks wait again.
   */
  async retry(): Promise<number> {
    const { record, tasks, checking, chronicle, journal, ready } = this.#parts
    await this.#ending
    if (record.over) {
      // Whoever waits for its end has been told by then, and the journal says what was read.
      await record.moved
      await tasks.intake.settled()
    }
    const wasOver = record.over
    const phase = wasOver ? 'running' : record.phase
    let retried: Retried = {
      tasks: 0,
      ended: { completed: 0, failed: 0, canceled: 0 },
      dropped: [],
    }
    await journal.transact(() => {
      retried = tasks.retry()
      journal.jobs.move(record.id, { phase, spent: record.spent })
    })
    if (wasOver && (retried.tasks > 0 || !tasks.intake.complete)) {
      this.ended = Promise.withResolvers()
      chronicle.reopen()
      record.error = undefined
      record.setPhase('running')
    }
    tasks.retried(retried, wasOver)
    if (wasOver && !record.over) checking?.reopen()
    ready()
    return retried.tasks
  }

  #stop(error: ManyhandsError): void {
    const { record, tasks, checking, chronicle, settled } = this.#parts
    record.goesOn = false
    tasks.intake.stop()
    checking?.stop()
    chronicle.end()
    this.left.reject(error)
    settled()
  }

  /** @param checked - all checks of its results are done */
  #finish(phase: 'completed' | 'failed' | 'canceled', checked: boolean): void {
    const { record, tasks } = this.#parts
    if (record.over) return
    if (phase === 'failed') {
      const { firstFailure: first, intake, counts } = tasks
      const why = first === undefined ? '' : `; the first: ${first.code}: ${first.message}`
      record.error ??= new ManyhandsError(
        'JOB_FAILED',
        `${counts.failed} of ${counts.total ?? intake.read} tasks failed${why}`,
      ).toJSON()
    }
    record.setPhase(phase, checked)
    // Nobody is told before the journal knows.
    void record.moved.then(() => this.#conclude())
  }

  #conclude(): void {
    const { chronicle, summary, settled } = this.#parts
    chronicle.end()
    settled()
    this.ended.resolve(summary())
  }
}
