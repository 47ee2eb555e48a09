import {
  type CollectedImages,
  type ImageDocument,
  ManyhandsError,
  type RuntimeImages,
} from '@manyhands/core'
import type { Engine } from '../engine.ts'
import { engineKind, hasContainerdStore } from '../engine-info.ts'
import type { EngineProfile } from '../engine-profile.ts'
import { familiarName } from '../image.ts'
import { EngineLayers } from './engine-layers.ts'
import { ImageLedger } from './image-ledger.ts'
import { checkPlatform } from './image-platform.ts'
import { isHostTag, ownTag } from './image-tag.ts'
import { loadArchive } from './load-archive.ts'
import { findImage, listOwnImages, type OwnImage, tagOwn, untagOwn } from './own-images.ts'
import { sendArchive } from './send-archive.ts'

export interface EngineImagesOptions {
  hostInstance: string
  stateDir: string
  profile: EngineProfile
}

interface Options {
  signal?: AbortSignal
}

/**
 * Images of clients in the host's engine. The name that we give an image says that it is ours to
 * remove; what has another name as well belongs to the owner.
 */
export class EngineImages implements RuntimeImages {
  readonly #options: EngineImagesOptions
  readonly #layers = new EngineLayers()
  readonly #ledger: ImageLedger
  /** Uses and removals one after the other: what is about to be used is not removed in between. */
  #turn: Promise<unknown> = Promise.resolve()

  constructor(options: EngineImagesOptions) {
    this.#options = options
    this.#ledger = new ImageLedger(options.stateDir)
  }

  open(): Promise<void> {
    return this.#ledger.open()
  }

  async find(id: string, { signal }: Options = {}) {
    const found = await this.#find(await this.#engine(), id)
    signal?.throwIfAborted()
    if (found === undefined) return undefined
    const names = [...(found.RepoTags ?? []), ...(found.RepoDigests ?? [])]
    return { names: names.filter((name) => !isHostTag(name)).map(familiarName) }
  }

  use(id: string, { signal }: Options = {}): Promise<boolean> {
    return this.#inTurn(async () => {
      signal?.throwIfAborted()
      const engine = await this.#engine()
      const found = await this.#find(engine, id)
      if (found === undefined) return false
      const { hostInstance } = this.#options
      const tags = found.RepoTags ?? []
      if (tags.length > 0 && tags.every(isHostTag)) {
        // Another host's that shares this engine: it stays for us when that one lets go of it.
        if (!tags.includes(ownTag(id, hostInstance))) await tagOwn(engine, id, hostInstance)
        await this.#ledger.used(id)
      }
      return true
    })
  }

  async lacking(image: ImageDocument, { signal }: Options = {}): Promise<number[]> {
    const engine = await this.#engine()
    const info = await this.#options.profile.info(engine)
    checkPlatform(image, info)
    // Podman and containerd read every layer of an archive, also those that they have.
    const all = engineKind(info) === 'podman' || hasContainerdStore(info)
    const diffIds = image.layers.map(({ diffId }) => diffId)
    const present = all ? 0 : await this.#layers.presentOf(engine, diffIds)
    signal?.throwIfAborted()
    return image.layers.map((_, index) => index).slice(present)
  }

  async load(
    image: ImageDocument,
    files: ReadonlyMap<number, string>,
    { signal }: Options = {},
  ): Promise<boolean> {
    signal?.throwIfAborted()
    const engine = await this.#engine()
    const given = new Set([...files.keys()].map((index) => image.layers[index]?.diffId))
    const whole = image.layers.every(({ diffId }) => given.has(diffId))
    try {
      await this.#load(engine, image, files, signal)
    } catch (error) {
      signal?.throwIfAborted()
      if (!whole && error instanceof ManyhandsError && error.code === 'RUNTIME_FAILED') return false
      throw error
    }
    await this.#ledger.used(
      image.id,
      image.layers.map(({ size }) => size),
    )
    return true
  }

  async #load(
    engine: Engine,
    image: ImageDocument,
    files: ReadonlyMap<number, string>,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const { hostInstance } = this.#options
    const what = `image ${image.id}`
    const archive = loadArchive(image, files, ownTag(image.id, hostInstance))
    await sendArchive(engine, archive, what, signal)
    const found = await this.#find(engine, image.id)
    if (found === undefined) {
      throw new ManyhandsError(
        'RUNTIME_FAILED',
        `${what}: the engine took it, but does not know it by this id`,
      )
    }
    // What counts is how the engine has read the configuration.
    const layers = image.layers.map(({ diffId }) => diffId)
    if (found.RootFS?.Layers?.join() === layers.join()) return
    await untagOwn(engine, ownTag(image.id, hostInstance))
    throw new ManyhandsError('IMAGE_INVALID', `${what}: the engine sees other layers in it`)
  }

  collect(options: Parameters<RuntimeImages['collect']>[0]): Promise<CollectedImages> {
    return this.#inTurn(async () => this.#collect(await this.#engine(), options))
  }

  async #collect(
    engine: Engine,
    { keepBytes, inUse, dryRun = false }: Parameters<RuntimeImages['collect']>[0],
  ): Promise<CollectedImages> {
    const { hostInstance } = this.#options
    const order = this.#ledger.ids
    const ids = new Map(order.map((id) => [ownTag(id, hostInstance), id]))
    const own = await listOwnImages(engine, hostInstance)
    const images = own.map((image) => ({ ...image, id: ids.get(image.tag) ?? image.id }))
    // What nobody remembers was used before all that is remembered.
    images.sort((a, b) => order.indexOf(a.id) - order.indexOf(b.id))
    const before = this.#bytesOf(images)
    const left = new Set(images)
    const used = new Set<OwnImage>()
    for (const image of images) {
      const wanted = inUse(image.id) || image.containers > 0
      if (wanted) used.add(image)
      if (wanted || this.#bytesOf(left) <= keepBytes) continue
      // A container may have been made of it in this moment.
      if (!dryRun && !(await untagOwn(engine, image.tag))) {
        used.add(image)
        continue
      }
      left.delete(image)
      if (!dryRun) await this.#ledger.forget(image.id)
    }
    const bytes = this.#bytesOf(left)
    const usedBytes = this.#bytesOf(used)
    return {
      removed: { images: images.length - left.size, bytes: before - bytes },
      used: { images: used.size, bytes: usedBytes },
      kept: { images: left.size - used.size, bytes: bytes - usedBytes },
    }
  }

  async #find(engine: Engine, id: string) {
    const { hostInstance, profile } = this.#options
    const byManifest = hasContainerdStore(await profile.info(engine))
    return findImage(engine, id, { hostInstance, byManifest })
  }

  /** What images take together; a layer that several have counts once. */
  #bytesOf(images: Iterable<OwnImage>): number {
    const layers = new Map<string, number>()
    for (const { id, chains, bytes } of images) {
      const sizes = this.#ledger.sizesOf(id)
      if (sizes?.length !== chains.length) layers.set(id, bytes)
      else for (const [index, chain] of chains.entries()) layers.set(chain, sizes[index]!)
    }
    return layers.values().reduce((sum, size) => sum + size, 0)
  }

  #inTurn<Value>(work: () => Promise<Value>): Promise<Value> {
    const turn = this.#turn.catch(() => {}).then(work)
    this.#turn = turn
    return turn
  }

  #engine(): Promise<Engine> {
    return this.#options.profile.find()
  }
}
