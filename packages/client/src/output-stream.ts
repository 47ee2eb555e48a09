import {
  type ArtifactStore,
  concurrently,
  type Logger,
  ManyhandsError,
  type StreamedOutput,
} from '@manyhands/core'
import PQueue from 'p-queue'
import type { StreamedFile } from './job-event.ts'
import type { JobRun } from './job-run.ts'
import { outputPath } from './local-paths.ts'
import type { OutputFetcher } from './output-fetcher.ts'
import type { LiveAttempt, Task } from './task.ts'

/** Files that are fetched at once while their tasks run, over all hosts. */
const FETCHES = 4
/** Files that wait for it; more of them come with their results. */
const WAITING = 8192
/** Files that are kept apart from results, over all jobs; the oldest are let go. */
const HELD = 16_384

export interface OutputStreamOptions {
  store: ArtifactStore
  outputs: OutputFetcher
  logger: Logger
}

interface Held {
  job: string
  attempt: string
  root: string
}

/**
 * Brings home what tasks have completed while they still run. Nothing here decides anything: a file that
 * cannot be had now comes with the result, and the result is what counts.
 */
export class OutputStream {
  readonly #options: OutputStreamOptions
  readonly #queue = new PQueue({ concurrency: FETCHES })
  /** By attempt and path, the oldest first. */
  readonly #held = new Map<string, Held>()
  #closed = false

  constructor(options: OutputStreamOptions) {
    this.#options = options
  }

  /** A host names files that are complete there. */
  announced(job: JobRun, task: Task, attempt: LiveAttempt, files: StreamedOutput[] = []): void {
    for (const file of files) {
      if (this.#queue.size >= WAITING) return
      if (!this.#wanted(job, attempt)) return
      if (!attempt.arrivals.note(file, job.document.base.resources.diskBytes)) continue
      void this.#queue.add(() => this.#bring(job, task, attempt, file)).catch(() => {})
    }
  }

  /** An attempt's outputs are not its task's result: what came of them is let go. */
  giveUp(attempt: LiveAttempt): void {
    if (attempt.arrivals.outcome !== undefined) return
    attempt.arrivals.outcome = 'provisional'
    if (attempt.arrivals.here.size > 0) this.#releaseSoon((held) => held.attempt === attempt.id)
  }

  /** Nobody can ask for a job's files any more. */
  forgetJob(id: string): void {
    this.#releaseSoon(({ job }) => job === id)
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#queue.clear()
    await this.#queue.onIdle()
    await this.#release(() => true)
  }

  #wanted(job: JobRun, attempt: LiveAttempt): boolean {
    return !this.#closed && !job.over && !attempt.canceled && attempt.arrivals.outcome === undefined
  }

  async #bring(job: JobRun, task: Task, attempt: LiveAttempt, file: StreamedOutput): Promise<void> {
    const { store, outputs, logger } = this.#options
    const wanted = () => this.#wanted(job, attempt) && attempt.arrivals.isLatest(file)
    if (!wanted()) return
    const { path, root, bytes } = file
    const holder = `${attempt.id} ${path}`
    const before = this.#held.get(holder)
    store.retain(root, holder)
    try {
      const { manifest } = await outputs.fetchFile(job, attempt.host, file)
      const [only] = manifest.files
      if (manifest.kind !== 'file' || only?.size !== bytes) {
        throw new ManyhandsError('PROTOCOL', `${root} is not the file that was announced`)
      }
      if (!wanted()) throw new ManyhandsError('CANCELED', 'it is not wanted any more')
      this.#held.delete(holder)
      this.#held.set(holder, { job: job.id, attempt: attempt.id, root })
      attempt.arrivals.here.add(path)
      const { id, host } = attempt
      const { executable } = only
      const arrived = new ArrivedFile(store, attempt, file, executable)
      job.tell({
        kind: 'output',
        task: task.key,
        attempt: id,
        host,
        path,
        bytes,
        executable,
        file: arrived,
      })
    } catch (cause) {
      logger.debug('a streamed output comes with the result', { path, cause: String(cause) })
      attempt.arrivals.forget(file)
      if (this.#held.get(holder)?.root !== root) await store.release(root, holder)
      return
    }
    if (before !== undefined && before.root !== root) await store.release(before.root, holder)
    for (const oldest of this.#held.keys()) {
      if (this.#held.size <= HELD) break
      await this.#letGo(oldest)
    }
  }

  #releaseSoon(which: (held: Held) => boolean): void {
    this.#release(which).catch((cause) => {
      this.#options.logger.warn('streamed outputs could not be removed', { cause: String(cause) })
    })
  }

  async #release(which: (held: Held) => boolean): Promise<void> {
    const gone = [...this.#held].filter(([, held]) => which(held)).map(([holder]) => holder)
    await concurrently(gone, FETCHES, (holder) => this.#letGo(holder))
  }

  async #letGo(holder: string): Promise<void> {
    const held = this.#held.get(holder)
    if (held === undefined) return
    this.#held.delete(holder)
    await this.#options.store.release(held.root, holder)
  }
}

class ArrivedFile implements StreamedFile {
  readonly path: string
  readonly executable: boolean
  readonly #store: ArtifactStore
  readonly #attempt: LiveAttempt
  readonly #root: string

  constructor(
    store: ArtifactStore,
    attempt: LiveAttempt,
    { path, root }: StreamedOutput,
    executable: boolean,
  ) {
    this.#store = store
    this.#attempt = attempt
    this.path = path
    this.#root = root
    this.executable = executable
  }

  get state() {
    const { arrivals, lost } = this.#attempt
    return arrivals.outcome ?? (lost ? 'provisional' : 'arrived')
  }

  async bytes(): Promise<Uint8Array> {
    await this.#assertHere()
    return this.#store.read(this.#root, '')
  }

  async saveTo(path: string): Promise<void> {
    await this.#assertHere()
    await this.#store.place(this.#root, outputPath(path), 'copy')
  }

  async #assertHere(): Promise<void> {
    if ((await this.#store.get(this.#root)) !== undefined) return
    throw new ManyhandsError('NOT_FOUND', `${this.path} of a task that ran is not kept any more`, {
      hint: 'What counts is in the result of the task.',
    })
  }
}
