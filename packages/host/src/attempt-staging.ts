import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { ManyhandsError, type Runtime } from '@manyhands/core'
import type { Attempt } from './attempt.ts'
import type { ImageStage } from './image-stage.ts'
import type { InputStage, StagePart, StageSource } from './input-stage.ts'
import { removeTree } from './remove-tree.ts'
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
    const { inputs, maxInputBytes, received } = this.#options
    const source: Omit<StageSource, 'phase'> = {
      peer: attempt.client,
      maxBytes: maxInputBytes(),
      signal: attempt.ending.signal,
      onReceived: (bytes) => {
        attempt.bytesIn += bytes
        received(attempt, bytes)
      },
    }
    let image = attempt.spec.image
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
      const stage = inputs.acquire(wanted, { ...source, phase: 'image' })
      cleanups.push(stage.release)
      image = join(await this.#wait(attempt, stage), 'image')
    }
    if (attempt.spec.offeredImage !== undefined && runtime.images !== undefined) {
      const { images } = runtime
      const wanted = { attempt: attempt.id, runtime, images, id: image }
      await this.#wait(attempt, this.#options.images.acquire(wanted, source))
    }
    let inDir: string | undefined
    if (attempt.spec.inputs.length > 0) {
      const stage = inputs.acquire(attempt.spec.inputs, { ...source, phase: 'inputs' })
      cleanups.push(stage.release)
      inDir = await this.#wait(attempt, stage)
    }
    const dir = this.dirOf(attempt)
    const outDir = join(dir, 'out')
    cleanups.push(() => removeTree(dir))
    await mkdir(dir, { mode: 0o700 })
    await mkdir(outDir)
    return { image, inDir, outDir }
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
