import {
  collectGarbage,
  type GcOptions,
  type GcReport,
  type GcRoom,
  type JobSpec,
  ManyhandsError,
  type Offer,
  type TaskResult,
  throwUnlessBorrower,
} from '@manyhands/core'
import { type AttachParts, attachJob } from './attach-job.ts'
import type { Client, HostChange } from './client.ts'
import type { HostState } from './host-state.ts'
import type { HostStates } from './host-states.ts'
import { type HostWait, waitForHosts, watchHosts } from './host-watch.ts'
import type { Job, JobSummary } from './job.ts'
import { hooksOf, type JobResumption } from './job-document.ts'
import { JobFailedError } from './job-failed-error.ts'
import type { JobRun } from './job-run.ts'
import { JobSubmissions, type JobSubmissionsParts } from './job-submissions.ts'
import { KnownJobs, type KnownJobsParts } from './known-jobs.ts'
import { readOwnerKey } from './owner-key.ts'

/** How long `run` and `map` wait while no host fits, when the spec does not say. */
const RUN_WAIT = '30s'

export interface BorrowingClientParts extends AttachParts, JobSubmissionsParts, KnownJobsParts {
  hostStates: HostStates
  /** Whether the journal outlives this process. */
  persistent: boolean
  /** What can be tidied up. */
  rooms(): GcRoom[]
  close(): Promise<void>
}

/** The client as its users see it: turns specs into jobs, and waits for things. */
export class BorrowingClient implements Client {
  readonly #parts: BorrowingClientParts
  readonly #jobs: KnownJobs
  readonly #submissions: JobSubmissions
  /** Jobs that end with the call that began them. */
  readonly #structured = new Set<string>()
  readonly #attaching = new Map<string, Promise<JobRun>>()
  readonly #closed = new AbortController()
  #closing: Promise<void> | undefined

  constructor(parts: BorrowingClientParts) {
    this.#parts = parts
    this.#jobs = new KnownJobs(parts)
    this.#submissions = new JobSubmissions(parts, {
      known: this.#jobs,
      again: (id, spec) => this.job(id, { ...spec, inputs: [] }),
      throwIfClosed: () => this.#throwIfClosed(),
    })
  }

  get peerId(): string {
    return this.#parts.network.peerId
  }

  hosts(): Offer[] {
    return this.#parts.directory.offers()
  }

  hostStates(): HostState[] {
    return this.#parts.hostStates.all()
  }

  watchHosts({ signal }: { signal?: AbortSignal } = {}): AsyncGenerator<HostChange> {
    return watchHosts(this.#parts.directory, this.#untilClosed(signal))
  }

  async waitForHosts(options: HostWait & { signal?: AbortSignal } = {}): Promise<Offer[]> {
    return await waitForHosts(this.#parts, options, this.#untilClosed(options.signal))
  }

  async submit<Item>(
    spec: JobSpec<Item>,
    options: { signal?: AbortSignal } = {},
  ): Promise<Job<Item>> {
    throwUnlessBorrower(this.#parts.network)
    return await this.#submissions.submit(spec, options)
  }

  /** A job that ends with the call that began it. */
  async #structuredJob<Item>(
    spec: JobSpec<Item>,
    options: { signal?: AbortSignal },
  ): Promise<Job<Item>> {
    const job = await this.submit(withWait(spec), options)
    this.#structured.add(job.id)
    return job
  }

  async run<Item>(
    spec: JobSpec<Item>,
    options: { signal?: AbortSignal } = {},
  ): Promise<JobSummary> {
    const job = await this.#structuredJob(spec, options)
    const summary = await this.#toEnd(job, options.signal)
    this.#structured.delete(job.id)
    if (summary.phase === 'completed') return summary
    const error =
      summary.error ?? new ManyhandsError('CANCELED', `job ${job.id} was ${summary.phase}`)
    throw new JobFailedError(error, summary)
  }

  async *map<Item>(
    items: Iterable<Item> | AsyncIterable<Item>,
    spec: Omit<JobSpec<Item>, 'tasks'>,
    options: { signal?: AbortSignal } = {},
  ): AsyncGenerator<TaskResult<Item>> {
    const job = await this.#structuredJob<Item>({ ...spec, tasks: items } as JobSpec<Item>, options)
    let done = false
    try {
      yield* job.results({ ordered: true, signal: options.signal })
      done = true
    } finally {
      this.#structured.delete(job.id)
      if (!done) await job.cancel('the caller stopped reading').catch(() => {})
    }
  }

  async job<Item = unknown>(id: string, given: JobResumption<Item> = {}): Promise<Job<Item>> {
    this.#throwIfClosed()
    const { jobs, scheduler } = this.#parts
    const known = this.#jobs.get(id)
    // What is not in memory is over.
    if (known === undefined) return this.#jobs.restored(id)
    const { run } = known
    // Before anything is sent out: what is gone is known then.
    await jobs.ready(run)
    for (const path of given.inputs ?? []) await run.inputs.give(path)
    if ((given.inputs ?? []).length > 0) await this.#saveInputs(run)
    if (!run.over && run.fenced === undefined && (!run.attached || run.missing.length > 0)) {
      run.attach(hooksOf(given))
      scheduler.attach(run)
    }
    // Who submits it a second time is promised as much as the first.
    if (run.attached && run.tasks.intake.eager) await run.fill()
    return known as unknown as Job<Item>
  }

  async attach<Item = unknown>(
    ownerKey: string,
    given: JobResumption<Item> = {},
  ): Promise<Job<Item>> {
    this.#throwIfClosed()
    throwUnlessBorrower(this.#parts.network)
    const { journal, keys } = this.#parts
    const key = readOwnerKey(ownerKey)
    const { id } = key.job
    const before = this.#attaching.get(id)
    if (before !== undefined) await before.catch(() => {})
    if (journal.jobs.get(id) === undefined) {
      const attaching = attachJob(key, hooksOf(given), this.#parts)
      this.#attaching.set(id, attaching)
      try {
        this.#jobs.handle(await attaching)
      } finally {
        this.#attaching.delete(id)
      }
    } else if ((this.#jobs.get(id)?.run.fenced ?? keys.of(id).taken) !== undefined) {
      throw new ManyhandsError('JOB_CONFLICT', `another machine has taken job ${id} from here`, {
        hint: 'Attach it with another state directory: what is in this one is older.',
      })
    }
    return await this.job(id, given)
  }

  jobs(): JobSummary[] {
    return this.#jobs.summaries()
  }

  async forget(id: string): Promise<void> {
    this.#throwIfClosed()
    await this.#jobs.forget(id)
  }

  gc(options: GcOptions = {}): Promise<GcReport> {
    return collectGarbage(this.#parts.rooms(), options)
  }

  close(): Promise<void> {
    this.#closing ??= (async () => {
      const { persistent, scheduler } = this.#parts
      const running = this.#jobs.unfinished
      this.#closed.abort(closedError())
      const stays = (id: string) => persistent && !this.#structured.has(id)
      await Promise.all(
        running
          .filter(({ id, run }) => !stays(id) && run.fenced === undefined)
          .map((job) => job.cancel('the client is closing')),
      )
      for (const { run } of running) {
        if (run.over) continue
        // Its hosts go on; the next process asks them.
        run.ending.leave()
        scheduler.remove(run)
      }
      await this.#parts.close()
    })()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** Where inputs of a job from elsewhere lie on this computer. */
  async #saveInputs({ id, inputs }: JobRun): Promise<void> {
    const { journal } = this.#parts
    const rows = inputs.unsaved()
    if (rows.length > 0) await journal.transact(() => journal.jobs.replaceInputs(id, rows))
  }

  async #toEnd(
    job: Pick<Job, 'wait' | 'cancel'>,
    signal: AbortSignal | undefined,
  ): Promise<JobSummary> {
    try {
      return await job.wait({ signal })
    } catch (cause) {
      // What ended the wait is what the caller hears, not that the client is closed as well.
      await job.cancel('the caller gave up').catch(() => {})
      throw cause
    }
  }

  #throwIfClosed(): void {
    if (this.#closing !== undefined) throw closedError()
  }

  #untilClosed(signal: AbortSignal | undefined): AbortSignal {
    const { signal: closed } = this.#closed
    return signal === undefined ? closed : AbortSignal.any([closed, signal])
  }
}

function closedError(): ManyhandsError {
  return new ManyhandsError('CLOSED', 'this client is closed')
}

function withWait<Item>(spec: JobSpec<Item>): JobSpec<Item> {
  return { ...spec, hosts: { ...spec.hosts, wait: spec.hosts?.wait ?? RUN_WAIT } }
}
