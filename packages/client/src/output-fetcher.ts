import {
  type Artifact,
  type ArtifactStore,
  type AttemptEnd,
  type Clock,
  type Network,
  type StreamedOutput,
  type TaskOutputs,
  TransferCounts,
  TransferMeter,
  toManyhandsError,
} from '@manyhands/core'
import PQueue from 'p-queue'
import { DISK_FULL_WAIT_MS } from './disk-full-wait.ts'
import type { HostDirectory } from './host-directory.ts'
import { HostPatience } from './host-patience.ts'
import type { JobRun } from './job-run.ts'
import { FETCHES } from './output-limits.ts'
import type { LiveAttempt, Task } from './task.ts'
import { NO_OUTPUTS, storedOutputs } from './task-outputs.ts'

const FETCH_TRIES = 3
/** Outputs of which it is told over what they come. */
const TOLD_BYTES = 1024 * 1024
/** Pause before outputs are asked for again, ms; a full disk of ours takes longer to change. */
const RETRY_MS = 500

export interface OutputFetcherOptions {
  network: Network
  directory: HostDirectory
  store: ArtifactStore
  clock: Clock
  closing: AbortSignal
}

/** Brings outputs home, verified, and holds them for their job. */
export class OutputFetcher {
  readonly #options: OutputFetcherOptions
  readonly #counts = new TransferCounts()
  readonly #queue = new PQueue({ concurrency: FETCHES })

  constructor(options: OutputFetcherOptions) {
    this.#options = options
  }

  /**
   * @throws as ArtifactStore.fetch, after several tries; a host that cannot be reached is waited for as
   *   {@link HostPatience} says
   */
  async fetch(
    job: JobRun,
    task: Task,
    attempt: LiveAttempt,
    end: AttemptEnd,
  ): Promise<TaskOutputs> {
    if (end.outputs === undefined) return NO_OUTPUTS
    const { outputs } = end
    const { root } = outputs
    const { store, closing } = this.#options
    // Held before it is there: nothing may sweep it up in between.
    store.retain(root, job.keeperOf(task).holder(task, root))
    const patience = new HostPatience(attempt.host, this.#options)
    for (let tries = 1; ; tries += 1) {
      try {
        await this.#queue.add(() => this.#fetchOnce(job, task.key, attempt, outputs, patience), {
          priority: 1,
        })
        return await storedOutputs(store, root)
      } catch (cause) {
        const error = toManyhandsError(cause)
        if (closing.aborted || job.over) throw error
        // The result stays sealed at the host: our own full disk is no reason to compute it again.
        const full = error.code === 'DISK_FULL'
        const cut = patience.lasts(error)
        if (full || cut) tries = 0
        else if (tries >= FETCH_TRIES || attempt.lost) throw error
        if (cut) {
          await patience.pause(closing)
          continue
        }
        const waitMs = full ? DISK_FULL_WAIT_MS : RETRY_MS * tries
        await this.#options.clock.delay(waitMs, { signal: closing })
      }
    }
  }

  /** One file of a task that still runs, once and behind the results. @throws as ArtifactStore.fetch */
  async fetchFile(job: JobRun, peer: string, file: StreamedOutput): Promise<Artifact> {
    const { network, store, closing } = this.#options
    return this.#queue.add(async () => {
      const transfer = this.#counts.follow(file.root)
      const onProgress = (received: number) => {
        job.meter.received(transfer.fresh(received))
        job.progressed()
      }
      try {
        const options = { signal: closing, maxBytes: file.bytes, onProgress }
        return await store.fetch(file.root, { network, peer }, options)
      } finally {
        transfer.end()
      }
    })
  }

  async close(): Promise<void> {
    this.#queue.clear()
    await this.#queue.onIdle()
  }

  async #fetchOnce(
    job: JobRun,
    task: string,
    attempt: LiveAttempt,
    { root, bytes }: { root: string; bytes: number },
    patience: HostPatience,
  ): Promise<void> {
    const { network, store, closing } = this.#options
    const meter = new TransferMeter('outputs', [[root, bytes]], this.#options.clock.now)
    attempt.transfer = () => meter.progress()
    const transfer = this.#counts.follow(root)
    try {
      await store.fetch(
        root,
        { network, peer: attempt.host },
        {
          signal: closing,
          // A host that was given so much disk cannot have written more.
          maxBytes: job.document.base.resources.diskBytes,
          onSource: (source) => {
            // Of what is small, there is nothing to know that its result does not tell.
            if (source.bytes < TOLD_BYTES) return
            job.tell({ kind: 'transfer', task, attempt: attempt.id, ...source })
          },
          onProgress: (received, total) => {
            meter.progressed(root, received, total, transfer.joined)
            if (received > 0) patience.moved()
            job.meter.received(transfer.fresh(received))
            job.progressed()
          },
        },
      )
    } finally {
      transfer.end()
      attempt.transfer = undefined
    }
  }
}
