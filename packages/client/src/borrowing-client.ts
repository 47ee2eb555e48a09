import {
  type ArtifactStore,
  collectGarbage,
  type Duration,
  type GcOptions,
  type GcReport,
  type GcRoom,
  isTerminal,
  type JobSpec,
  LIMITS,
  type Logger,
  ManyhandsError,
  type Network,
  type Offer,
  parseDuration,
  type TaskResult,
} from '@manyhands/core'
import type { Client, HostChange, Job, JobSummary } from './client.ts'
import { type ClientJournal, newJobId } from './client-journal.ts'
import type { HostDirectory } from './host-directory.ts'
import type { ImageDesk } from './images/image-desk.ts'
import { JobFailedError } from './job-failed-error.ts'
import { JobHandle } from './job-handle.ts'
import { JobInputs } from './job-inputs.ts'
import { JobRun } from './job-run.ts'
import { prepareJob } from './prepare-job.ts'
import type { Scheduler } from './scheduler.ts'

/** How long `run` and `map` wait while no host fits, when the spec does not say. */
const RUN_WAIT = '30s'

export interface BorrowingClientParts {
  network: Network
  journal: ClientJournal
  store: ArtifactStore
  directory: HostDirectory
  scheduler: Scheduler
  logger: Logger
  /** What can be tidied up. */
  rooms(): GcRoom[]
  /** What is kept for a job beside its results may go. */
  forgetJob(id: string): void
  images: ImageDesk
  close(): Promise<void>
}

/** The client as its users see it: turns specs into jobs, and waits for things. */
export class BorrowingClient implements Client {
  readonly #parts: BorrowingClientParts
  /** Handles by id, oldest first; of those that ended only the newest are kept. */
  readonly #jobs = new Map<string, JobHandle<unknown>>()
  #closing: Promise<void> | undefined

  constructor(parts: BorrowingClientParts) {
    this.#parts = parts
  }

  get peerId(): string {
    return this.#parts.network.peerId
  }

  hosts(): Offer[] {
    return this.#parts.directory.offers()
  }

  async *watchHosts(options: { signal?: AbortSignal } = {}): AsyncGenerator<HostChange> {
    const { directory } = this.#parts
    const { signal } = options
    // One pending change per host: a slow reader sees the latest, and memory stays bounded.
    const pending = new Map<string, HostChange>()
    for (const offer of directory.offers()) pending.set(offer.peerId, { kind: 'found', offer })
    let wake: (() => void) | undefined
    const changed = (event: Event) => {
      const change = (event as CustomEvent<HostChange>).detail
      pending.set(change.kind === 'gone' ? change.peerId : change.offer.peerId, change)
      wake?.()
    }
    const stop = () => wake?.()
    directory.addEventListener('change', changed)
    signal?.addEventListener('abort', stop)
    try {
      while (!signal?.aborted && this.#closing === undefined) {
        const [next] = pending
        if (next !== undefined) {
          pending.delete(next[0])
          yield next[1]
          continue
        }
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
    } finally {
      directory.removeEventListener('change', changed)
      signal?.removeEventListener('abort', stop)
    }
  }

  async waitForHosts(
    options: {
      min?: number
      where?: (offer: Offer) => boolean
      timeout?: Duration
      signal?: AbortSignal
    } = {},
  ): Promise<Offer[]> {
    const { directory } = this.#parts
    const { min = 1, where = () => true, signal } = options
    const timeoutMs = parseDuration(options.timeout ?? '30s', 'timeout')
    signal?.throwIfAborted()
    const { promise, resolve, reject } = Promise.withResolvers<Offer[]>()
    const look = () => {
      try {
        const found = directory.offers().filter(where)
        if (found.length >= min) resolve(found)
      } catch (cause) {
        reject(
          new ManyhandsError('SPEC_INVALID', `where threw: ${(cause as Error)?.message}`, {
            cause,
          }),
        )
      }
    }
    const aborted = () => reject(signal?.reason)
    const timer = setTimeout(() => {
      const seen = directory.offers()
      reject(
        new ManyhandsError(
          'NO_HOSTS',
          `waited ${timeoutMs} ms for ${min} host(s): ${seen.length} seen, ${seen.filter(where).length} match`,
        ),
      )
    }, timeoutMs)
    directory.addEventListener('change', look)
    signal?.addEventListener('abort', aborted, { once: true })
    try {
      look()
      return await promise
    } finally {
      clearTimeout(timer)
      directory.removeEventListener('change', look)
      signal?.removeEventListener('abort', aborted)
    }
  }

  async submit<Item>(
    spec: JobSpec<Item>,
    options: { signal?: AbortSignal } = {},
  ): Promise<Job<Item>> {
    this.#throwIfClosed()
    const id = newJobId()
    const inputs = new JobInputs(this.#parts.store, id)
    try {
      return await this.#submit(id, spec, inputs, options)
    } catch (cause) {
      await inputs.release()
      throw cause
    }
  }

  async #submit<Item>(
    id: string,
    spec: JobSpec<Item>,
    inputs: JobInputs,
    options: { signal?: AbortSignal },
  ): Promise<Job<Item>> {
    const { journal, store, images, scheduler, directory, logger } = this.#parts
    const prepared = await prepareJob(spec, inputs, images, options)
    options.signal?.throwIfAborted()
    const known = async (job: string) => {
      await inputs.release()
      return await this.job<Item>(job)
    }
    if (spec.key !== undefined) {
      const before = journal.jobByKey(spec.key)
      if (before !== undefined && before.specHash !== prepared.specHash) {
        throw new ManyhandsError('JOB_CONFLICT', `job key '${spec.key}' was used with another spec`)
      }
      if (before !== undefined) return await known(before.id)
    }
    const added = journal.addJob({
      id,
      key: spec.key,
      name: prepared.name,
      specHash: prepared.specHash,
      phase: 'queued',
      submittedAt: new Date().toISOString(),
    })
    try {
      await added
    } catch (cause) {
      // Somebody submitted the same key in the same moment.
      const winner = spec.key === undefined ? undefined : journal.jobByKey(spec.key)
      if (winner?.specHash === prepared.specHash) return await known(winner.id)
      throw cause
    }
    const run = new JobRun(id, prepared as never, journal)
    void run.ended.promise.then(async () => {
      prepared.image?.release()
      await inputs.release().catch((error) => {
        logger.warn('inputs of a job could not be removed', { job: id, error: String(error) })
      })
    })
    const handle = new JobHandle<Item>({ run, journal, store, scheduler, directory })
    this.#jobs.set(id, handle as JobHandle<unknown>)
    this.#forgetOldJobs()
    scheduler.add(run)
    return handle
  }

  async run<Item>(
    spec: JobSpec<Item>,
    options: { signal?: AbortSignal } = {},
  ): Promise<JobSummary> {
    const job = await this.submit(withWait(spec), options)
    const summary = await this.#toEnd(job, options.signal)
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
    const job = await this.submit<Item>(
      withWait({ ...spec, tasks: items } as JobSpec<Item>),
      options,
    )
    let done = false
    try {
      yield* job.results({ ordered: true, signal: options.signal })
      done = true
    } finally {
      if (!done) await job.cancel('the caller stopped reading')
    }
  }

  async job<Item = unknown>(id: string): Promise<Job<Item>> {
    const handle = this.#jobs.get(id)
    if (handle === undefined) throw new ManyhandsError('NOT_FOUND', `there is no job ${id} here`)
    return handle as unknown as Job<Item>
  }

  jobs(): JobSummary[] {
    return [...this.#jobs.values()].map((job) => job.summary).reverse()
  }

  gc(options: GcOptions = {}): Promise<GcReport> {
    return collectGarbage(this.#parts.rooms(), options)
  }

  close(): Promise<void> {
    this.#closing ??= (async () => {
      const running = [...this.#jobs.values()]
      await Promise.all(running.map((job) => job.cancel('the client is closing')))
      await this.#parts.close()
    })()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #toEnd(
    job: Pick<Job, 'wait' | 'cancel'>,
    signal: AbortSignal | undefined,
  ): Promise<JobSummary> {
    try {
      return await job.wait({ signal })
    } catch (cause) {
      await job.cancel('the caller gave up')
      throw cause
    }
  }

  #forgetOldJobs(): void {
    let over = this.#jobs.size - LIMITS.jobsRemembered
    for (const [id, job] of this.#jobs) {
      if (over <= 0) return
      if (!isTerminal(job.phase)) continue
      this.#jobs.delete(id)
      this.#parts.forgetJob(id)
      over -= 1
    }
  }

  #throwIfClosed(): void {
    if (this.#closing !== undefined) throw new ManyhandsError('CLOSED', 'this client is closed')
  }
}

function withWait<Item>(spec: JobSpec<Item>): JobSpec<Item> {
  return { ...spec, hosts: { ...spec.hosts, wait: spec.hosts?.wait ?? RUN_WAIT } }
}
