import { setTimeout as delay } from 'node:timers/promises'
import {
  type AnnouncedCheckpoint,
  type Artifact,
  type ArtifactStore,
  LIMITS,
  type LiveFile,
  type LiveTree,
  ManyhandsError,
  openLiveTree,
  sameFile,
} from '@manyhands/core'
import type { Attempt } from '../attempt.ts'
import type { AttemptControl } from '../attempt-control.ts'
import { makeCopiesRoom, mostCopiesRoom } from '../copies-room.ts'
import { checkpointHolder } from '../held-artifacts.ts'
import type { HostJournal } from '../host-journal.ts'
import { outputGlobs } from '../output-watch.ts'

/** A file that was written so shortly ago is probably being written, and is waited for, but not for long. */
const CALM = { ms: 100, tries: 3 }
/** Where a task cannot be made to stand still: how often it is tried to copy all before anything changes. */
const TRIES = 3

export interface CheckpointTakerOptions {
  store: ArtifactStore
  control: AttemptControl
  journal: Pick<HostJournal, 'checkpointed'>
  /** There is another one, which is durable. */
  taken(attempt: Attempt): void
}

/** Makes checkpoints of what one running attempt has at /out: all files of one moment, or none. */
export class CheckpointTaker {
  readonly #options: CheckpointTakerOptions
  readonly #attempt: Attempt
  readonly #dir: string
  readonly #tree: LiveTree
  /** What the newest one consists of. */
  #known: LiveFile[] = []
  /** The newest one; what the attempt began with, before it has made any. */
  #root: string | undefined
  #under: Promise<void> | undefined

  constructor(attempt: Attempt, dir: string, options: CheckpointTakerOptions) {
    this.#options = options
    this.#attempt = attempt
    this.#dir = dir
    this.#root = attempt.checkpoints.roots.at(-1) ?? attempt.spec.restore?.root
    this.#tree = openLiveTree(dir, outputGlobs(attempt.spec.checkpoint!.paths))
  }

  /**
   * Makes one, unless nothing has changed since the last one or there is nothing. One after the other.
   *
   * @param options.calm - whether a file that is just being written is waited for
   * @throws LIMIT, OUTPUT_UNSAFE, INPUT_CHANGED, DISK_FULL; what was made before stays
   */
  take(signal: AbortSignal, options: { calm: boolean }): Promise<void> {
    const before = this.#under?.catch(() => {}) ?? Promise.resolve()
    const taken: Promise<void> = before
      .then(() => this.#take(signal, options))
      .finally(() => {
        if (this.#under === taken) this.#under = undefined
      })
    this.#under = taken
    return taken
  }

  /**
   * The last one: what is being made already, else one that is made now.
   *
   * @throws as {@link take}, or the signal's reason; what is being made may go on for a moment
   */
  async last(signal: AbortSignal): Promise<void> {
    const fired = Promise.withResolvers<never>()
    const late = () => fired.reject(signal.reason)
    if (signal.aborted) late()
    signal.addEventListener('abort', late, { once: true })
    try {
      await Promise.race([this.#under ?? this.take(signal, { calm: false }), fired.promise])
    } finally {
      signal.removeEventListener('abort', late)
      fired.promise.catch(() => {})
    }
  }

  /** Resolves when nothing is being made. */
  async settled(): Promise<void> {
    await this.#under?.catch(() => {})
  }

  async #take(signal: AbortSignal, { calm }: { calm: boolean }): Promise<void> {
    const attempt = this.#attempt
    const seen = await this.#files(signal)
    const { checkpoints } = attempt
    if (seen.length === 0 || (equal(seen, this.#known) && !checkpoints.missed)) return
    if (calm && attempt.phase === 'running') await this.#calm(seen, signal)
    const found = await this.#options.control.still(attempt, () => this.#snapshot(signal))
    if (found === undefined) return
    const { root } = found.artifact
    if (root !== this.#root || checkpoints.missed)
      await keepCheckpoint(attempt, found.artifact, this.#options)
    else await this.#letGo(root)
    this.#root = root
    this.#known = found.files
  }

  /** A program that appends for ever is not waited for for ever. */
  async #calm(seen: LiveFile[], signal: AbortSignal): Promise<void> {
    let files = seen
    for (let tries = 0; tries < CALM.tries; tries += 1) {
      await delay(CALM.ms, undefined, { signal, ref: false })
      const now = await this.#files(signal)
      if (equal(files, now)) return
      files = now
    }
  }

  async #snapshot(
    signal: AbortSignal,
  ): Promise<{ artifact: Artifact; files: LiveFile[] } | undefined> {
    const { store } = this.#options
    const holder = checkpointHolder(this.#attempt.id)
    const globs = outputGlobs(this.#attempt.spec.checkpoint!.paths)
    for (let tries = 1; ; tries += 1) {
      const files = await this.#files(signal)
      if (files.length === 0) return undefined
      const bytes = files.reduce((sum, { size }) => sum + size, 0)
      await this.#makeRoom(bytes)
      this.#attempt.checkpoints.making = bytes
      const artifact = await store
        .collect(this.#dir, globs, { signal, holder, copy: true })
        .finally(() => {
          this.#attempt.checkpoints.making = 0
        })
      // What was copied while it stood still is of one moment; else this is what tells.
      if (equal(files, await this.#files(signal))) return { artifact, files }
      await this.#letGo(artifact.root)
      if (tries === TRIES) {
        throw new ManyhandsError('INPUT_CHANGED', 'files changed while a checkpoint was made')
      }
    }
  }

  /** What was collected is no checkpoint, or is one already. */
  async #letGo(root: string): Promise<void> {
    if (this.#attempt.checkpoints.has(root)) return
    await this.#options.store.release(root, checkpointHolder(this.#attempt.id))
  }

  async #files(signal: AbortSignal): Promise<LiveFile[]> {
    const { files, whole } = await this.#tree.files({ maxEntries: LIMITS.checkpointFiles, signal })
    if (whole) return files.sort((a, b) => (a.path < b.path ? -1 : 1))
    throw new ManyhandsError('LIMIT', `a checkpoint has at most ${LIMITS.checkpointFiles} files`)
  }

  /** It is on the attempt's own disk. Nothing goes for one that would not fit even so. */
  async #makeRoom(bytes: number): Promise<void> {
    const attempt = this.#attempt
    const room = Math.max(0, Math.min(mostCopiesRoom(attempt), LIMITS.checkpointBytes))
    if (bytes <= room && (await makeCopiesRoom(attempt, bytes, this.#options.store))) return
    throw new ManyhandsError(
      'LIMIT',
      `a checkpoint of ${bytes} bytes: the disk of the attempt has room for ${room}`,
    )
  }
}

/** Makes what was collected the newest checkpoint: durable before anybody hears of it. */
export async function keepCheckpoint(
  attempt: Attempt,
  { root, size }: Artifact,
  { store, journal, taken }: Omit<CheckpointTakerOptions, 'control'>,
): Promise<AnnouncedCheckpoint> {
  const checkpoint = attempt.checkpoints.next({ root, bytes: size })
  const holder = checkpointHolder(attempt.id)
  try {
    await journal.checkpointed(attempt.id, checkpoint)
  } catch (cause) {
    if (!attempt.checkpoints.has(root)) await store.release(root, holder)
    throw cause
  }
  for (const old of attempt.checkpoints.add(checkpoint)) await store.release(old, holder)
  taken(attempt)
  return checkpoint
}

function equal(a: LiveFile[], b: LiveFile[]): boolean {
  return (
    a.length === b.length &&
    a.every((file, index) => file.path === b[index]!.path && sameFile(file, b[index]!))
  )
}
