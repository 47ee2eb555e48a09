import { existsSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import {
  type ArtifactStore,
  type LiveFile,
  type LiveTree,
  type Logger,
  liveTreesSupported,
  openLiveTree,
  type Runtime,
  type StreamedOutput,
  toManyhandsError,
} from '@manyhands/core'
import type { Attempt } from './attempt.ts'
import { copiesRoom, makeCopiesRoom } from './copies-room.ts'
import { streamedHolder } from './held-artifacts.ts'
import { Lanes } from './lanes.ts'
import { RipeFiles } from './ripe-files.ts'

/** Most tasks are over by then, and cost nothing. */
const FIRST_LOOK_MS = 2_000
/** Between two looks, while there is something new and while there is not. */
const LOOK_MS = { least: 1_000, most: 5_000 }
/** A look of a large directory is followed by so many times its own length without one. */
const REST_FACTOR = 4
/** Entries of one look; what is beyond comes at the end. */
const LOOK_ENTRIES = 10_000
/** Attempts that are looked at, or copied from, at once. */
const LANES = 2

export interface OutputWatchOptions {
  store: ArtifactStore
  /** Whether the client of an attempt listens: copies for nobody are not made. */
  listening(attempt: Attempt): boolean
  /** Whether the disk of this host is nearly full. */
  diskShort(): boolean
  /** A file was taken. */
  streamed(attempt: Attempt, file: StreamedOutput): void
  logger: Logger
}

/** Looks at what one attempt writes, until it is stopped. */
export interface OutputWatch {
  /** Resolves when its directory is not touched any more. */
  stop(): Promise<void>
}

const NO_WATCH: OutputWatch = { stop: async () => {} }

/**
 * Lets clients have the outputs that a task has completed while it still runs. They are taken by copy,
 * because the task may go on with the file; the copies of an attempt and what it has written stay together
 * within its own disk limit. What is collected at the end does not depend on anything here: to see too
 * little, or to give up, is never an error.
 */
export class OutputWatcher {
  readonly #options: OutputWatchOptions
  readonly #lanes = new Lanes(LANES)

  constructor(options: OutputWatchOptions) {
    this.#options = options
  }

  /** @param outDir - of a sandbox that runs */
  watch(attempt: Attempt, outDir: string, runtime: Runtime): OutputWatch {
    const { outputs, streamOutputs } = attempt.spec
    const visible = liveTreesSupported && runtime.capabilities.liveOutputs
    if (!visible || streamOutputs === false) return NO_WATCH
    let stopping: AbortController | undefined
    let over: Promise<void> | undefined
    // Nothing is made for those that are over before the first look.
    const first = setTimeout(() => {
      const tree = openLiveTree(outDir, outputGlobs(outputs))
      stopping = new AbortController()
      const { signal } = stopping
      over = this.#follow(attempt, outDir, tree, signal).catch((cause) => {
        if (signal.aborted) return
        this.#options.logger.debug('outputs of an attempt are not streamed any more', {
          attempt: attempt.id,
          cause: String(cause),
        })
      })
    }, FIRST_LOOK_MS).unref()
    return {
      stop: async () => {
        clearTimeout(first)
        stopping?.abort()
        await over
      },
    }
  }

  async #follow(
    attempt: Attempt,
    outDir: string,
    tree: LiveTree,
    signal: AbortSignal,
  ): Promise<void> {
    const ripe = new RipeFiles()
    let pauseMs = 0
    while (!attempt.streamed.full) {
      if (pauseMs > 0) await delay(pauseMs, undefined, { signal, ref: false })
      pauseMs ||= FIRST_LOOK_MS
      const { listening, diskShort } = this.#options
      // While it is paused, a file may stand still in the middle; and some make their directory late.
      const still = attempt.phase !== 'running' || !existsSync(outDir)
      if (still || !listening(attempt) || diskShort()) continue
      const look = await this.#lanes.run(signal, () => this.#look(attempt, tree, ripe, signal))
      const quietMs = Math.min(LOOK_MS.most, Math.max(LOOK_MS.least, pauseMs * 1.25))
      pauseMs = Math.max(look.pending ? LOOK_MS.least : quietMs, look.ms * REST_FACTOR)
    }
  }

  async #look(attempt: Attempt, tree: LiveTree, ripe: RipeFiles, signal: AbortSignal) {
    const begun = performance.now()
    const { files } = await tree.files({ maxEntries: LOOK_ENTRIES, signal })
    const ms = performance.now() - begun
    const found = ripe.look(files, attempt.runMs)
    // The task comes first: when it has written more, copies go. They were fetched, or come at the end.
    await makeCopiesRoom(attempt, 0, this.#options.store)
    let { pending } = found
    for (const file of found.ripe) {
      if (attempt.streamed.full) break
      if (file.size > copiesRoom(attempt)) continue
      pending = true
      const taken = await this.#take(attempt, tree, file, signal)
      if (taken) ripe.took(file, attempt.runMs)
    }
    return { ms, pending }
  }

  /** False when it is not what was seen any more. @throws DISK_FULL, what the store throws */
  async #take(
    attempt: Attempt,
    tree: LiveTree,
    file: LiveFile,
    signal: AbortSignal,
  ): Promise<boolean> {
    const handle = await tree.open(file)
    if (handle === undefined) return false
    const { store, streamed } = this.#options
    try {
      const holder = holderOf(attempt)
      const artifact = await store.addFile(handle, { holder, maxBytes: file.size, signal })
      const { size, executable } = artifact.manifest.files[0]!
      const { path } = file
      const output = { path, root: artifact.root, bytes: size, executable }
      const superseded = attempt.streamed.add(output)
      if (superseded !== undefined) await store.release(superseded, holder)
      streamed(attempt, output)
      return true
    } catch (cause) {
      const { code } = toManyhandsError(cause)
      if (code === 'INPUT_CHANGED' || code === 'OUTPUT_UNSAFE' || code === 'LIMIT') return false
      throw cause
    } finally {
      await handle.close()
    }
  }
}

/** Lets go of the copies of an attempt. */
export async function releaseStreamed(attempt: Attempt, store: ArtifactStore): Promise<void> {
  for (const root of attempt.streamed.roots()) await store.release(root, holderOf(attempt))
}

/** Globs of a spec, relative to the output directory. */
export function outputGlobs(outputs: string[]): string[] {
  return outputs.map((glob) => glob.slice('/out/'.length) || '**')
}

const holderOf = (attempt: Attempt) => streamedHolder(attempt.id)
