import type { ArtifactStore, Clock, Logger } from '@manyhands/core'
import type { ImageDesk } from './images/image-desk.ts'
import { takenError } from './job-claims.ts'
import type { JobHooks } from './job-document.ts'
import { JobInputs } from './job-inputs.ts'
import type { JobKeys } from './job-keys.ts'
import { JobRun } from './job-run.ts'
import type { ClientJournal } from './journal/client-journal.ts'
import type { JobRow } from './journal/job-rows.ts'
import type { CheckingParts } from './verify/job-checking.ts'

export interface OpenJobsOptions {
  journal: ClientJournal
  store: ArtifactStore
  images: ImageDesk
  clock: Clock
  logger: Logger
  checking: CheckingParts
  keys: JobKeys
}

/** Makes jobs of what the journal has of them, and holds what each needs until it is over. */
export class OpenJobs {
  readonly #options: OpenJobsOptions
  readonly #ready = new Map<string, Promise<void>>()

  constructor(options: OpenJobsOptions) {
    this.#options = options
  }

  /** A job that this process has taken. */
  taken(
    row: JobRow,
    parts: Pick<ConstructorParameters<typeof JobRun>[1], 'inputs' | 'hooks' | 'image'>,
  ): JobRun {
    const { journal, clock, store, keys, checking } = this.#options
    const shared = () => keys.of(row.id).shared
    const given = { ...parts, journal, clock, store, checking, shared }
    const run = new JobRun(row, { ...given, attached: true })
    this.#holdUntilEnd(run)
    return run
  }

  /** A job of an earlier process. What it needs is looked for at once, see {@link ready}. */
  restored(row: JobRow): JobRun {
    const { journal, clock, store, keys, checking } = this.#options
    const { taken } = keys.of(row.id)
    const inputs = new JobInputs(store, row.id)
    const hooks: JobHooks = {}
    const run = new JobRun(row, {
      inputs,
      hooks,
      image: undefined,
      journal,
      clock,
      store,
      checking,
      lastEpoch: keys.lastEpochBefore(row.id),
      shared: () => keys.of(row.id).shared,
      attached: false,
    })
    if (!run.over) this.hold(run)
    if (taken !== undefined) run.ending.fence(takenError(taken))
    return run
  }

  /** Takes what a job that goes on needs, until it is over. */
  hold(run: JobRun): void {
    const restoring = this.#restore(run)
    restoring.catch(() => {})
    this.#ready.set(run.id, restoring)
    this.#holdUntilEnd(run)
  }

  /** Resolves when what an earlier process has taken for a job is here again, or known to be gone. */
  async ready(run: JobRun): Promise<void> {
    await this.#ready.get(run.id)
  }

  async #restore(run: JobRun): Promise<void> {
    const { journal, images, keys } = this.#options
    const { image, base } = run.document
    const rows = journal.jobs.inputs(run.id)
    if (keys.of(run.id).epoch > 0) await run.inputs.expect(rows)
    else await run.inputs.restore(rows)
    if (image === undefined) return
    const found = await images.resolve(image, base.runtime, undefined)
    // Another one of that name is not what hosts were told; they may have the right one.
    if (found?.id === base.image) run.image = found
    else found?.release()
  }

  #holdUntilEnd(run: JobRun): void {
    void run.ended.promise.then(async () => {
      this.#ready.delete(run.id)
      run.image?.release()
      await run.inputs.release().catch((error) => {
        const { logger } = this.#options
        logger.warn('inputs of a job could not be removed', { job: run.id, error: String(error) })
      })
    })
  }
}
