import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve, sep } from 'node:path'
import {
  type Artifact,
  type ArtifactStore,
  type AttemptEnd,
  createArtifactStore,
  ManyhandsError,
  toManyhandsError,
} from '@manyhands/core'
import { OneAtATime } from './one-at-a-time.ts'
import { filesQuiet } from './real-work.ts'
import type { SimulatedAttempt } from './simulated-attempt.ts'
import { asksToContinue, continued } from './simulated-checkpoints.ts'
import type { SimulatedPeer } from './simulated-peer.ts'
import type { VirtualClock } from './virtual-clock.ts'

/** What the tasks of a simulated host write: real files in a real store, made when the first one does. */
export class SimulatedOutputs {
  readonly #peer: SimulatedPeer
  readonly #clock: VirtualClock
  readonly #allow: (client: string, root: string) => boolean
  #opened: Promise<{ dir: string; store: ArtifactStore }> | undefined
  /** One after the other, so that they are there in the same order each time. */
  readonly #turns = new OneAtATime()

  /** @param allow - whether a client may have an artifact */
  constructor(parts: {
    peer: SimulatedPeer
    clock: VirtualClock
    allow: (client: string, root: string) => boolean
  }) {
    this.#peer = parts.peer
    this.#clock = parts.clock
    this.#allow = parts.allow
  }

  /** Takes what an attempt wrote, as far as its globs want it, and says in its end what came of that. */
  async seal(
    attempt: SimulatedAttempt,
    end: AttemptEnd,
    files: Record<string, string | Uint8Array>,
  ): Promise<void> {
    try {
      if (asksToContinue(attempt, end)) {
        const {
          root,
          size: bytes,
          manifest,
        } = await this.#collect(attempt, attempt.spec.checkpoint!.paths, files)
        return continued(end, { root, bytes, files: manifest.files.length })
      }
      const taken = await this.#collect(attempt, attempt.spec.outputs, files)
      if (taken.manifest.files.length > 0) end.outputs = { root: taken.root, bytes: taken.size }
      const missing = taken.unmatched?.filter((glob) => glob !== '**') ?? []
      if (missing.length === 0) return
      const what = missing.map((glob) => `/out/${glob}`).join(', ')
      const error = new ManyhandsError('OUTPUT_MISSING', `the task wrote nothing at ${what}`)
      // A task that already failed keeps its own reason.
      end.error ??= error.toJSON()
    } catch (cause) {
      end.error ??= toManyhandsError(cause, 'HOST_FAILED').toJSON()
    }
  }

  /** The root of a part of what an attempt wrote; null when there is nothing at the path. */
  async part({ id, end }: SimulatedAttempt, path: string): Promise<string | null> {
    const { root } = end?.outputs ?? {}
    if (root === undefined || this.#opened === undefined) return null
    const { store } = await this.#opened
    return (await this.#clock.still(store.part(root, path, id)))?.root ?? null
  }

  async release(root: string, attempt: string): Promise<void> {
    // What cannot be released any more goes with the store.
    await (await this.#opened)?.store.release(root, attempt).catch(() => {})
  }

  async close(): Promise<void> {
    const opened = await this.#opened?.catch(() => undefined)
    if (opened === undefined) return
    await opened.store.close()
    await rm(opened.dir, { recursive: true, force: true })
  }

  #collect(
    { id }: SimulatedAttempt,
    globs: string[],
    files: Record<string, string | Uint8Array>,
  ): Promise<Artifact> {
    return this.#clock.still(this.#inTurn(id, globs, files))
  }

  async #inTurn(
    attempt: string,
    globs: string[],
    files: Record<string, string | Uint8Array>,
  ): Promise<Artifact> {
    const done = await this.#turns.turn()
    try {
      const { dir, store } = await this.#open()
      const out = await mkdtemp(join(dir, 'out-'))
      for (const [path, content] of Object.entries(files)) {
        const target = resolve(out, path.replace(/^\/?(out\/)?/, ''))
        if (!target.startsWith(out + sep)) {
          throw new ManyhandsError('COMMAND_INVALID', `${path} is not below /out`)
        }
        await mkdir(dirname(target), { recursive: true })
        await writeFile(target, content)
      }
      const wanted = globs.map((glob) => glob.slice('/out/'.length) || '**')
      const artifact = await store.collect(out, wanted, { holder: attempt })
      await rm(out, { recursive: true, force: true })
      return artifact
    } finally {
      await filesQuiet()
      done()
    }
  }

  #open(): Promise<{ dir: string; store: ArtifactStore }> {
    this.#opened ??= (async () => {
      const dir = await mkdtemp(join(tmpdir(), 'manyhands-twin-'))
      const store = await createArtifactStore({ dir: join(dir, 'store') })
      await store.serve(this.#peer, this.#allow)
      return { dir, store }
    })()
    return this.#opened
  }
}
