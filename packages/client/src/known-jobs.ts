import {
  type ArtifactStore,
  isTerminal,
  LIMITS,
  ManyhandsError,
  type Network,
} from '@manyhands/core'
import type { HeldResults } from './held-results.ts'
import type { HostDirectory } from './host-directory.ts'
import type { JobSummary } from './job.ts'
import { journaledCounts } from './job-counts.ts'
import { JobHandle } from './job-handle.ts'
import type { JobKeys } from './job-keys.ts'
import type { JobRun } from './job-run.ts'
import type { ClientJournal } from './journal/client-journal.ts'
import type { JobRow } from './journal/job-rows.ts'
import type { OpenJobs } from './open-jobs.ts'
import type { Scheduler } from './scheduler.ts'

export interface KnownJobsParts {
  network: Network
  journal: ClientJournal
  store: ArtifactStore
  directory: HostDirectory
  scheduler: Scheduler
  jobs: OpenJobs
  held: HeldResults
  keys: JobKeys
  /** Addresses where hosts are looked for. */
  bootstrap: readonly string[]
  /** What is kept for a job beside its results may go. */
  forgetJob(id: string): void
}

/** The jobs of a client: those that have a handle, and those that only the journal has. */
export class KnownJobs {
  readonly #parts: KnownJobsParts
  /** By id, oldest first; of those that ended only the newest are kept. */
  readonly #handles = new Map<string, JobHandle<unknown>>()

  constructor(parts: KnownJobsParts) {
    this.#parts = parts
    for (const run of parts.scheduler.jobs.values()) this.handle(run)
  }

  get(id: string): JobHandle<unknown> | undefined {
    return this.#handles.get(id)
  }

  get unfinished(): JobHandle<unknown>[] {
    return [...this.#handles.values()].filter(({ run }) => !run.over)
  }

  handle<Item>(run: JobRun): JobHandle<Item> {
    const { journal, held, scheduler, directory, keys, network, bootstrap } = this.#parts
    const handle = new JobHandle<Item>({
      ...{ run, journal, held, scheduler, directory, keys, bootstrap },
      peerId: network.peerId,
      goesOn: () => this.#goesOn(run),
    })
    this.#handles.set(run.id, handle as JobHandle<unknown>)
    this.#dropOld()
    return handle
  }

  /** A job of which nothing is in memory. @throws NOT_FOUND */
  restored<Item>(id: string): JobHandle<Item> {
    return this.handle<Item>(this.#parts.jobs.restored(this.#row(id)))
  }

  /** The newest ones. */
  summaries(): JobSummary[] {
    const { journal } = this.#parts
    return journal.jobs
      .newest(LIMITS.jobsListed)
      .map((row) => this.#handles.get(row.id)?.summary ?? summaryOf(row, journal))
  }

  /** Nothing of a job that never was is left. */
  async drop(id: string): Promise<void> {
    this.#handles.delete(id)
    await this.#parts.journal.jobs.remove(id)
  }

  /** Takes a job that is over, and its results, out of the journal. @throws NOT_FOUND, SPEC_INVALID */
  async forget(id: string): Promise<void> {
    const { journal, store, held, scheduler } = this.#parts
    const row = this.#row(id)
    const run = this.#handles.get(id)?.run
    if (scheduler.jobs.has(id) || !(run?.over ?? isTerminal(row.phase))) {
      throw new ManyhandsError('SPEC_INVALID', `job ${id} is not over`, {
        hint: 'Cancel it first.',
      })
    }
    this.#parts.forgetJob(id)
    held.release(id)
    const roots = journal.results.outputs(id)
    await this.drop(id)
    for (const { root } of roots) await store.release(root, id)
  }

  #row(id: string): JobRow {
    const row = this.#parts.journal.jobs.get(id)
    if (row === undefined) throw new ManyhandsError('NOT_FOUND', `there is no job ${id} here`)
    return row
  }

  /** A job that was over is taken up again. */
  async #goesOn(run: JobRun): Promise<void> {
    const { jobs, scheduler } = this.#parts
    run.attach({})
    jobs.hold(run)
    await jobs.ready(run)
    scheduler.add(run)
  }

  #dropOld(): void {
    let over = this.#handles.size - LIMITS.jobsRemembered
    for (const [id, job] of this.#handles) {
      if (over <= 0) return
      if (!isTerminal(job.phase)) continue
      this.#handles.delete(id)
      this.#parts.forgetJob(id)
      over -= 1
    }
  }
}

/** A job of which nothing is in memory. */
function summaryOf(row: JobRow, journal: ClientJournal): JobSummary {
  const { id, name, phase, spent, error } = row
  const counts = journaledCounts(row, journal)
  return { id, name, phase, counts, ...spent, ...(error === undefined ? {} : { error }) }
}
