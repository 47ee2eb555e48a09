import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { ManyhandsError, type Runtime, removeTree } from '@manyhands/core'
import type { Attempt } from './attempt.ts'
import type { CheckpointRestore } from './checkpoints/checkpoint-restore.ts'
import type { ImageStage } from './image-stage.ts'
import type { InputStage, StagePart, StageSource } from './input-stage.ts'
import type { StagingNews } from './staging-news.ts'

/** What gives back what an attempt holds, newest last. Never throws. */
export type Cleanup = () => Promise<unknown>

/** What a sandbox is started with. */
export interface StagedWorkspace {
  /** A name of the engine's, or the path of the verified file. */
  image: string
  inDir: string | undefined
  outDir: string
}

export interface AttemptStagingOptions {
  workDir: string
  /** Most bytes of inputs that are taken for one artifact. */
  maxInputBytes(): number
  inputs: InputStage
  restore: CheckpointRestore
  images: ImageStage
  /** Tells how far it is. */
  news: StagingNews
  /** Bytes of inputs came for an attempt. */
  received(attempt: Attempt, bytes: number): void
}

const ARTIFACT_IMAGE = /^artifact:sha256:[0-9a-f]{64}$/

/** Brings together what a sandbox needs on this disk before it can start. */
export class AttemptStaging {
  readonly #options: AttemptStagingOptions

  constructor(options: AttemptStagingOptions) {
    this.#options = options
  }

  /** Where an attempt's own files are. */
  dirOf(attempt: Attempt): string {
    return join(this.#options.workDir, attempt.id)
  }

  /**
   * @param cleanups - gets what gives all of it back
   * @throws as ArtifactStore.fetch and RuntimeImages.load; IMAGE_INVALID; the reason of the attempt's end
   */
  async stage(attempt: Attempt, runtime: Runtime, cleanups: Cleanup[]): Promise<StagedWorkspace> {
    const image = await this.image(attempt, runtime, cleanups)
    const inDir = await this.inputs(attempt, cleanups)
    const dir = this.dirOf(attempt)
    const outDir = join(dir, 'out')
    cleanups.push(async () => attempt.leftNothing || removeTree(dir))
    // What is to be restored there, or looked at, needs a place.
    const late = runtime.capabilities.makesOutDir && attempt.spec.checkpoint === undefined
    if (late) return { image, inDir, outDir }
    await mkdir(dir, { mode: 0o700 })
    await mkdir(outDir)
    if (attempt.spec.restore !== undefined) await this.#restore(attempt, outDir)
    return { image, inDir, outDir }
  }

  /** What a sandbox is started from. @throws as {@link stage} */
  async image(attempt: Attempt, runtime: Runtime, cleanups: Cleanup[]): Promise<string> {
    const source = this.#source(attempt)
    let { image } = attempt.spec
    if (runtime.capabilities.image === 'artifact') {
      // Never a path: the client would choose which of the owner's files is opened.
      if (!ARTIFACT_IMAGE.test(image)) {
        throw new ManyhandsError(
          'IMAGE_INVALID',
          `runtime ${runtime.name} takes images as artifacts, not by the name ${image.slice(0, 100)}`,
        )
      }
      const root = image.slice('artifact:'.length)
      const wanted = [{ path: '/in/image', root }]
      const stage = this.#options.inputs.acquire(wanted, { ...source, phase: 'image' })
      cleanups.push(stage.release)
      image = join(await this.#wait(attempt, stage), 'image')
    }
    if (attempt.spec.offeredImage !== undefined && runtime.images !== undefined) {
      const { images } = runtime
      const wanted = { attempt: attempt.id, runtime, images, id: image }
      await this.#wait(attempt, this.#options.images.acquire(wanted, source))
    }
    return image
  }

  async #restore(attempt: Attempt, outDir: string): Promise<void> {
    const { restore, maxInputBytes } = this.#options
    const maxBytes = Math.min(attempt.limits.diskBytes, maxInputBytes())
    await restore.bring(attempt, outDir, { ...this.#source(attempt), maxBytes })
  }

  /** What the attempt has at /in; undefined when it has nothing. @throws as {@link stage} */
  async inputs(attempt: Attempt, cleanups: Cleanup[]): Promise<string | undefined> {
    if (attempt.spec.inputs.length === 0) return undefined
    const source = this.#source(attempt)
    const stage = this.#options.inputs.acquire(attempt.spec.inputs, { ...source, phase: 'inputs' })
    cleanups.push(stage.release)
    return this.#wait(attempt, stage)
  }

  /** Keeps what the attempt has at /in beyond its end, for the one that comes after it in its sandbox. */
  keepInputs(attempt: Attempt): (() => Promise<void>) | undefined {
    if (attempt.spec.inputs.length === 0) return undefined
    const source = this.#source(attempt)
    const stage = this.#options.inputs.acquire(attempt.spec.inputs, { ...source, phase: 'inputs' })
    // Its own part is ready; whoever ends it meanwhile ends that.
    stage.ready.catch(() => {})
    return stage.release
  }

  #source(attempt: Attempt): Omit<StageSource, 'phase'> {
    const { maxInputBytes, received } = this.#options
    return {
      peer: attempt.client,
      maxBytes: maxInputBytes(),
      signal: attempt.ending.signal,
      onReceived: (bytes) => {
        attempt.bytesIn += bytes
        received(attempt, bytes)
      },
    }
  }

  /** While an attempt waits for a transfer, whoever looks at it sees how far that is. */
  async #wait(attempt: Attempt, { ready, progress }: Omit<StagePart, 'release'>): Promise<string> {
    attempt.transfer = progress
    const unwatch = this.#options.news.watch(attempt)
    try {
      return await ready
    } finally {
      unwatch()
      attempt.transfer = undefined
    }
  }
}
