import {
  type ArtifactStore,
  type Clock,
  type JobSpec,
  ManyhandsError,
  toManyhandsError,
} from '@manyhands/core'
import type { ImageDesk } from './images/image-desk.ts'
import type { Job } from './job.ts'
import { JobInputs } from './job-inputs.ts'
import type { JobRun } from './job-run.ts'
import type { ClientJournal } from './journal/client-journal.ts'
import type { KnownJobs } from './known-jobs.ts'
import type { OpenJobs } from './open-jobs.ts'
import { prepareJob } from './prepare-job.ts'
import type { Scheduler } from './scheduler.ts'

export interface JobSubmissionsParts {
  journal: ClientJournal
  store: ArtifactStore
  scheduler: Scheduler
  clock: Clock
  jobs: OpenJobs
  images: ImageDesk
  newJobId(): string
  /** What nobody can foretell. */
  salt(): string
}

export interface SubmissionsOwner {
  known: KnownJobs
  /** The job of a key that was used before, which may go on. */
  again<Item>(id: string, spec: JobSpec<Item>): Promise<Job<Item>>
  /** @throws CLOSED */
  throwIfClosed(): void
}

/** Makes jobs of specs: each resolves when it is durable, and one key makes one job. */
export class JobSubmissions {
  readonly #parts: JobSubmissionsParts
  readonly #owner: SubmissionsOwner
  /** Those that are under way, by their keys; resolve when they are over. */
  readonly #underWay = new Map<string, Promise<void>>()

  constructor(parts: JobSubmissionsParts, owner: SubmissionsOwner) {
    this.#parts = parts
    this.#owner = owner
  }

  async submit<Item>(
    spec: JobSpec<Item>,
    options: { signal?: AbortSignal } = {},
  ): Promise<Job<Item>> {
    const { key } = spec
    // What the first one of a key comes to decides what the second one gets.
    while (key !== undefined && this.#underWay.has(key)) await this.#underWay.get(key)
    this.#owner.throwIfClosed()
    const submitted = this.#submitOne(spec, options)
    if (key === undefined) return await submitted
    const over = submitted.then(
      () => {},
      () => {},
    )
    this.#underWay.set(key, over)
    try {
      return await submitted
    } finally {
      this.#underWay.delete(key)
    }
  }

  async #submitOne<Item>(
    spec: JobSpec<Item>,
    options: { signal?: AbortSignal },
  ): Promise<Job<Item>> {
    const id = this.#parts.newJobId()
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
    const { journal, images, jobs } = this.#parts
    const { salt } = this.#parts
    const prepared = await prepareJob(spec, inputs, images, { ...options, salt })
    options.signal?.throwIfAborted()
    const { name, document, specHash, hooks, image, items } = prepared
    const known = async (job: string) => {
      image?.release()
      await inputs.release()
      return await this.#owner.again<Item>(job, spec)
    }
    if (spec.key !== undefined) {
      const before = journal.jobs.byKey(spec.key)
      if (before !== undefined && before.specHash !== specHash) {
        throw new ManyhandsError('JOB_CONFLICT', `job key '${spec.key}' was used with another spec`)
      }
      if (before !== undefined) return await known(before.id)
    }
    const submittedAt = this.#parts.clock.date().toISOString()
    const row = {
      id,
      key: spec.key,
      name,
      specHash,
      phase: 'queued',
      submittedAt,
      document,
    } as const
    try {
      await journal.transact(() => {
        journal.jobs.insert(row)
        journal.jobs.insertInputs(id, inputs.unsaved())
        if (items === undefined) return
        journal.items.insert(id, items.blocks)
        journal.jobs.markSourceDone(id)
      })
    } catch (cause) {
      // Somebody submitted the same key in the same moment.
      const winner = spec.key === undefined ? undefined : journal.jobs.byKey(spec.key)
      if (winner?.specHash === specHash) return await known(winner.id)
      throw cause
    }
    const run = jobs.taken(journal.jobs.get(id)!, { inputs, hooks, image })
    const handle = this.#owner.known.handle<Item>(run)
    await this.#takeOn(run, options.signal)
    return handle
  }

  /** Resolves when all of the job is durable that can be. */
  async #takeOn(run: JobRun, signal: AbortSignal | undefined): Promise<void> {
    const { scheduler } = this.#parts
    const beforehand = run.tasks.intake.eager && run.hooks.task !== undefined
    if (!beforehand) scheduler.add(run)
    // Of nothing, nothing comes that would end it.
    if (run.tasks.cutting?.size === 0) run.ending.finishIfDone()
    if (!run.tasks.intake.eager) return
    try {
      await abortable(run.fill(), signal)
      if (!run.tasks.intake.complete) await Promise.race([run.left.promise, run.ended.promise])
    } catch (cause) {
      // Nobody was told of it: it never was.
      await scheduler.abort(run, 'canceled', toManyhandsError(cause, 'CANCELED')).catch(() => {})
      await this.#owner.known.drop(run.id).catch(() => {})
      throw cause
    }
    if (beforehand) scheduler.add(run)
  }
}

/** What is begun goes on; whoever waits for it need not. */
async function abortable(work: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  if (signal === undefined) return work
  signal.throwIfAborted()
  const aborted = Promise.withResolvers<never>()
  const abort = () => aborted.reject(signal.reason)
  signal.addEventListener('abort', abort, { once: true })
  try {
    await Promise.race([work, aborted.promise])
  } finally {
    signal.removeEventListener('abort', abort)
    work.catch(() => {})
  }
}
