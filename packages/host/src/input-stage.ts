import { randomBytes } from 'node:crypto'
import { mkdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { ArtifactStore, Network, WireInput } from '@manyhands/core'

/** Where inputs come from and how much is taken. */
export interface StageSource {
  peer: string
  maxBytes: number
  signal: AbortSignal
  onProgress(bytes: number): void
}

interface Stage {
  dir: string
  users: number
  ready: Promise<void>
}

/**
 * Directories of inputs, ready to be mounted read-only. Attempts with equal inputs share one, since
 * nobody can write to it: a job of a thousand tasks stages its scene once. What was staged stays in
 * the store, oldest out first, so that the next job with the same scene receives nothing.
 */
export class InputStage {
  readonly #dir: string
  readonly #store: ArtifactStore
  readonly #network: Network
  readonly #keepBytes: number
  readonly #stages = new Map<string, Stage>()
  /** Artifacts held for later, by root, least recently used first, with their sizes. */
  readonly #kept = new Map<string, number>()

  /** @param keepBytes - how much is kept in the store for later jobs */
  constructor(dir: string, store: ArtifactStore, network: Network, keepBytes: number) {
    this.#dir = dir
    this.#store = store
    this.#network = network
    this.#keepBytes = keepBytes
  }

  /**
   * Fetches the inputs and returns the directory that stands for /in, and what gives it back.
   *
   * @throws as ArtifactStore.fetch
   */
  async acquire(
    inputs: WireInput[],
    source: StageSource,
  ): Promise<{ dir: string; release(): Promise<void> }> {
    const key = inputs.map((input) => `${input.path}\0${input.root}`).join('\n')
    let stage = this.#stages.get(key)
    if (stage === undefined) {
      const dir = join(this.#dir, randomBytes(8).toString('hex'))
      stage = { dir, users: 0, ready: this.#build(dir, inputs, source) }
      this.#stages.set(key, stage)
    }
    const held = stage
    held.users += 1
    let released = false
    const release = async () => {
      if (released) return
      released = true
      await this.#leave(key, held)
    }
    try {
      await held.ready
    } catch (cause) {
      if (this.#stages.get(key) === held) this.#stages.delete(key)
      await release()
      throw cause
    }
    return { dir: held.dir, release }
  }

  /** Holds every artifact of the stage until all are placed, however full the store is. */
  async #build(dir: string, inputs: WireInput[], source: StageSource): Promise<void> {
    const roots = new Set(inputs.map((input) => input.root))
    for (const root of roots) this.#store.retain(root, dir)
    try {
      let left = source.maxBytes
      for (const root of roots) {
        const artifact = await this.#store.fetch(
          root,
          { network: this.#network, peer: source.peer },
          { signal: source.signal, maxBytes: left, onProgress: source.onProgress },
        )
        left -= artifact.size
        await this.#keep(root, artifact.size)
      }
      await this.#place(dir, inputs)
    } finally {
      for (const root of roots) await this.#store.release(root, dir)
    }
  }

  /** Holds an artifact for later jobs, and lets go of what was not used for longest. */
  async #keep(newest: string, bytes: number): Promise<void> {
    this.#store.retain(newest, HOLDER)
    this.#kept.delete(newest)
    this.#kept.set(newest, bytes)
    let total = 0
    for (const size of this.#kept.values()) total += size
    for (const [root, size] of this.#kept) {
      if (total <= this.#keepBytes) return
      this.#kept.delete(root)
      total -= size
      await this.#store.release(root, HOLDER)
    }
  }

  /** Built beside and renamed, so that a directory with the final name is complete. */
  async #place(dir: string, inputs: WireInput[]): Promise<void> {
    const building = `${dir}.building`
    await mkdir(this.#dir, { recursive: true })
    if (inputs[0]?.path !== '/in') await mkdir(building)
    for (const { path, root } of inputs) {
      await this.#store.place(root, join(building, path.slice('/in'.length)), 'link')
    }
    await rename(building, dir)
  }

  async #leave(key: string, stage: Stage): Promise<void> {
    stage.users -= 1
    if (stage.users > 0) return
    if (this.#stages.get(key) === stage) this.#stages.delete(key)
    await rm(stage.dir, { recursive: true, force: true })
    await rm(`${stage.dir}.building`, { recursive: true, force: true })
  }
}

/** Name of this room's holds in the store. */
const HOLDER = 'staged-inputs'
