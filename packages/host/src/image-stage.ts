import { setTimeout as delay } from 'node:timers/promises'
import {
  type ArtifactStore,
  decodeImage,
  type ImageDocument,
  imageBytes,
  LIMITS,
  ManyhandsError,
  type Network,
  type Runtime,
  type RuntimeImages,
  type TransferProgress,
} from '@manyhands/core'
import { whenClientIsThere } from './client-away.ts'
import type { InputStage, StagePart, StageSource } from './input-stage.ts'

/** A client that answers at once that it is not ready is asked again after this time, ms. */
const ASK_AGAIN_MS = 250
/** Times that an image is loaded which is gone before its attempt has begun. */
const ROUNDS = 4
const NOTHING_YET: TransferProgress = { phase: 'image', bytes: 0, rate: 0 }

export interface ImageStageOptions {
  network: Network
  store: ArtifactStore
  inputs: InputStage
  /**
   * Makes room for an image, of which the exact size is known now.
   *
   * @throws HOST_REFUSED, HOST_BUSY when it does not fit into what the owner gives to images
   */
  makeRoom(images: RuntimeImages, id: string, bytes: number): Promise<void>
}

/** An image that an attempt needs. */
export interface WantedImage {
  attempt: string
  runtime: Runtime
  images: RuntimeImages
  id: string
}

interface Load {
  /** Attempts that wait for it. The client is asked in the name of one of them. */
  readonly attempts: Set<string>
  readonly peer: string
  readonly unwanted: AbortController
  ready: Promise<void>
  progress: () => TransferProgress
}

type Source = Omit<StageSource, 'phase'>

/**
 * Images of clients on their way into this host's engines: the engine says which layers it lacks, those
 * are fetched as artifacts, and handed to it. Attempts that want one image share a load.
 */
export class ImageStage {
  readonly #options: ImageStageOptions
  readonly #loads = new Map<string, Load>()

  constructor(options: ImageStageOptions) {
    this.#options = options
  }

  /**
   * Takes part in bringing an image into an engine. `ready` settles when the engine has it, or as soon
   * as the signal fires.
   *
   * @throws (from `ready`) as RuntimeImages.load and ArtifactStore.fetch; HOST_REFUSED, HOST_BUSY
   */
  acquire(wanted: WantedImage, source: Source): Omit<StagePart, 'release'> {
    let load: Load | undefined
    const bring = async () => {
      for (let round = 0; round < ROUNDS; round++) {
        if (await wanted.images.use(wanted.id, { signal: source.signal })) return
        const joined = this.#loads.get(keyOf(wanted))
        load = joined ?? this.#begin(wanted, source)
        load.attempts.add(wanted.attempt)
        try {
          await untilAborted(load.ready, source.signal)
        } catch (error) {
          // Another client's image of the same id failed: that says nothing about ours.
          if (source.signal.aborted || load.peer === source.peer) throw error
        } finally {
          this.#leave(load, wanted)
        }
      }
      const { id } = wanted
      throw new ManyhandsError('RUNTIME_FAILED', `image ${id} is removed as soon as it is loaded`)
    }
    return {
      ready: bring().then(() => wanted.id),
      progress: () => load?.progress() ?? NOTHING_YET,
    }
  }

  #begin(wanted: WantedImage, source: Source): Load {
    const unwanted = new AbortController()
    const load: Load = {
      attempts: new Set(),
      peer: source.peer,
      unwanted,
      ready: Promise.resolve(),
      progress: () => NOTHING_YET,
    }
    const ready = this.#bring(wanted, { ...source, signal: unwanted.signal }, load)
    load.ready = ready.finally(() => this.#end(load, wanted))
    load.ready.catch(() => {})
    this.#loads.set(keyOf(wanted), load)
    return load
  }

  #leave(load: Load, wanted: WantedImage): void {
    load.attempts.delete(wanted.attempt)
    if (load.attempts.size > 0) return
    // Nobody joins what is being ended.
    this.#end(load, wanted)
    load.unwanted.abort(new ManyhandsError('CANCELED', 'nobody waits for this image any more'))
  }

  #end(load: Load, wanted: WantedImage): void {
    if (this.#loads.get(keyOf(wanted)) === load) this.#loads.delete(keyOf(wanted))
  }

  async #bring({ images, id }: WantedImage, source: Source, load: Load): Promise<void> {
    // Not before whoever began it is counted.
    await Promise.resolve()
    const image = await this.#document(id, await this.#askClient(load, source), source)
    await this.#options.makeRoom(images, id, imageBytes(image))
    const lacking = await images.lacking(image, source)
    if (await this.#load(images, image, lacking, source, load)) return
    // The engine takes no part of an image: it gets all of it.
    const all = image.layers.map((_, index) => index)
    if (await this.#load(images, image, all, source, load)) return
    throw new ManyhandsError('RUNTIME_FAILED', `image ${id}: the engine refuses it`)
  }

  /** The client may have to export it first, which takes as long as it takes. */
  async #askClient({ attempts, peer }: Load, { signal }: Source): Promise<string> {
    for (;;) {
      signal.throwIfAborted()
      const [id = ''] = attempts
      try {
        const { network } = this.#options
        const { root } = await whenClientIsThere({ network, peer, signal }, () =>
          network.call(peer, 'attempt.image', { id }, { signal }),
        )
        if (root !== undefined) return root
      } catch (error) {
        // It is over meanwhile; the next one in whose name may be asked still wants the image.
        if (attempts.has(id) || attempts.size === 0) throw error
      }
      await delay(ASK_AGAIN_MS, undefined, { signal, ref: false }).catch(() => {})
    }
  }

  async #document(id: string, root: string, source: Source): Promise<ImageDocument> {
    const { inputs, store } = this.#options
    const stage = inputs.acquire([{ path: '/in/image', root }], {
      ...source,
      phase: 'image',
      maxBytes: LIMITS.imageDocumentBytes,
    })
    try {
      await stage.ready
      const bytes = await store.read(root, '').catch((cause: unknown) => {
        if (!(cause instanceof ManyhandsError) || cause.code !== 'NOT_FOUND') throw cause
        throw new ManyhandsError('IMAGE_INVALID', `image ${id}: its document is no file`, { cause })
      })
      return decodeImage(bytes, id)
    } finally {
      await stage.release()
    }
  }

  async #load(
    images: RuntimeImages,
    image: ImageDocument,
    layers: number[],
    source: Source,
    load: Load,
  ): Promise<boolean> {
    const wanted = layers.map((index) => {
      const { root, size: bytes } = image.layers[index]!
      return { path: `/in/${index}`, root, bytes }
    })
    if (wanted.length === 0) return images.load(image, new Map(), source)
    const stage = this.#options.inputs.acquire(wanted, {
      ...source,
      phase: 'image',
      maxBytes: imageBytes(image),
    })
    load.progress = stage.progress
    try {
      const dir = await stage.ready
      const files = new Map(layers.map((index) => [index, `${dir}/${index}`]))
      return await images.load(image, files, source)
    } finally {
      await stage.release()
    }
  }
}

function keyOf({ runtime, id }: WantedImage): string {
  return `${runtime.name} ${id}`
}

async function untilAborted(promise: Promise<void>, signal: AbortSignal): Promise<void> {
  const left = Promise.withResolvers<never>()
  const leave = () => left.reject(signal.reason)
  signal.addEventListener('abort', leave, { once: true })
  if (signal.aborted) leave()
  try {
    await Promise.race([promise, left.promise])
  } finally {
    signal.removeEventListener('abort', leave)
  }
}
