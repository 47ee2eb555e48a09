import { randomBytes } from 'node:crypto'
import {
  type ArtifactStore,
  encodeImage,
  type ImageSource,
  ManyhandsError,
  type SourceImage,
} from '@manyhands/core'
import { inputsHolder } from '../held-artifacts.ts'
import type { LayerShelf, ShelvedImage } from './layer-shelf.ts'

export interface ImageDeskOptions {
  /** Engines of this computer that have images for a runtime; asked when a job needs one. */
  sources(runtime: string): Promise<readonly ImageSource[]>
  shelf: LayerShelf
  store: ArtifactStore
}

/** An image of this client's engine, as one job names it. */
export interface JobImage {
  /** `sha256:…`, by which every engine knows it. */
  readonly id: string
  readonly name: string
  /** About what it takes, bytes. */
  readonly bytes: number
  /** Bytes of layers that were exported for it so far. */
  readonly exportedBytes: number
  /** Whether anybody has asked for it. */
  readonly begun: boolean
  /**
   * Makes it ready to be fetched, once; goes on until the job is over. Resolves with the roots of its
   * artifacts, that of the image document first.
   *
   * @throws INPUT_UNREADABLE when the engine cannot give it
   */
  roots(): Promise<string[]>
  /** The job is over. */
  release(): void
}

/**
 * What names of images mean in this client's engine, and their bytes for hosts that lack them. Nothing
 * is exported before a host asks: mostly it has the image since the last job.
 */
export class ImageDesk {
  readonly #options: ImageDeskOptions
  /** Exports one after the other: two images mostly have layers in common. */
  #turn: Promise<unknown> = Promise.resolve()

  constructor(options: ImageDeskOptions) {
    this.#options = options
  }

  /**
   * Undefined when no engine here has it: then the name means what hosts have.
   *
   * @throws as ImageSource.resolve; INPUT_UNREADABLE
   */
  async resolve(
    name: string,
    runtime: string,
    signal: AbortSignal | undefined,
  ): Promise<JobImage | undefined> {
    for (const source of await this.#options.sources(runtime)) {
      if (source.runtime !== runtime) continue
      const found = await source.resolve(name, { signal })
      if (found === undefined) continue
      // What an engine calls by a name of its own, only its export tells how others call it.
      const id = found.id ?? (await this.#shelved(found, name, { signal })).id
      const image = new OfferedImage(id, name, found.bytes, (options) =>
        this.#makeReady(found, name, options),
      )
      return image
    }
    return undefined
  }

  /** Brings all layers of an image on the shelf. */
  #shelved(found: SourceImage, name: string, options: ExportOptions): Promise<ShelvedImage> {
    const work = async () => {
      options.signal?.throwIfAborted()
      const { shelf } = this.#options
      const shelved = await shelf.image(found.key)
      const wanted = new Set(found.diffIds.filter((diffId) => !shelf.has(diffId)))
      if (shelved !== undefined && wanted.size === 0) {
        await shelf.used(found.key, shelved.id, found.diffIds)
        return shelved
      }
      const exported = await found.export(wanted, shelf.dir, options)
      const taken = await shelf.take(found.key, exported)
      if (found.id === undefined || taken.id === found.id) return taken
      throw new ManyhandsError('IMAGE_INVALID', `its configuration is that of ${taken.id}`)
    }
    const turn = this.#turn.catch(() => {}).then(work)
    this.#turn = turn
    return turn.catch((cause: unknown) => {
      options.signal?.throwIfAborted()
      const why = cause instanceof Error ? cause.message : String(cause)
      // Of whatever kind: it is this computer's, and no other host would fare better.
      throw new ManyhandsError('INPUT_UNREADABLE', `image ${name} cannot be exported: ${why}`, {
        cause,
        hint: 'Look at the engine of this computer, and at the room on its disk.',
      })
    })
  }

  async #makeReady(found: SourceImage, name: string, options: ReadyOptions): Promise<string[]> {
    const { shelf, store } = this.#options
    options.onRelease(shelf.hold(found.diffIds))
    const holder = inputsHolder(`image ${randomBytes(8).toString('hex')}`)
    const held = (root: string) =>
      options.onRelease(() => void store.release(root, holder).catch(() => {}))
    const { id, config } = await this.#shelved(found, name, options)
    const roots = new Map<string, string>()
    for (const diffId of new Set(found.diffIds)) {
      const { root } = await store.addPath(shelf.pathOf(diffId), { signal: options.signal, holder })
      roots.set(diffId, root)
      held(root)
    }
    const layers = found.diffIds.map((diffId) => ({
      diffId,
      size: shelf.sizeOf(diffId)!,
      root: roots.get(diffId)!,
    }))
    const document = encodeImage({ v: 1, id, reference: name, config, layers })
    const { root } = await store.addBytes(document, { holder })
    held(root)
    return [root, ...roots.values()]
  }
}

interface ExportOptions {
  signal?: AbortSignal
  onProgress?: (bytes: number) => void
}

interface ReadyOptions extends ExportOptions {
  /** What has to be called when the image is wanted no more. */
  onRelease(release: () => void): void
}

class OfferedImage implements JobImage {
  readonly id: string
  readonly name: string
  readonly bytes: number
  exportedBytes = 0
  readonly #makeReady: (options: ReadyOptions) => Promise<string[]>
  readonly #over = new AbortController()
  #roots: Promise<string[]> | undefined

  constructor(
    id: string,
    name: string,
    bytes: number,
    makeReady: (options: ReadyOptions) => Promise<string[]>,
  ) {
    this.id = id
    this.name = name
    this.bytes = bytes
    this.#makeReady = makeReady
  }

  get begun(): boolean {
    return this.#roots !== undefined
  }

  roots(): Promise<string[]> {
    const { signal } = this.#over
    this.#roots ??= this.#makeReady({
      signal,
      onProgress: (bytes) => {
        this.exportedBytes += bytes
      },
      onRelease: (release) => {
        if (signal.aborted) release()
        else signal.addEventListener('abort', release, { once: true })
      },
    })
    // Whoever asks hears of a failure; nobody has to.
    this.#roots.catch(() => {})
    return this.#roots
  }

  release(): void {
    this.#over.abort(new ManyhandsError('CANCELED', `nobody waits for image ${this.name} any more`))
  }
}
