import { createHash, randomBytes } from 'node:crypto'
import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type ExportedImage, type Logger, readImageConfig } from '@manyhands/core'

/** An image whose layers may be here. */
export interface ShelvedImage {
  /** The engine's own name for it. */
  key: string
  /** sha256 of its configuration. */
  id: string
  config: Uint8Array
}

interface ShelfDocument {
  v: 1
  /** Least recently used first. */
  images: { key: string; id: string }[]
  layers: { diffId: string; size: number }[]
}

/** Images that are remembered; a configuration has some kilobytes. */
const IMAGES_REMEMBERED = 1024

/**
 * Layers that were exported from an engine, one file each by its digest, so that no image is exported
 * twice and what two have in common is there once. Nothing half-written has a final name. When all
 * together take more than the limit, what was used least recently goes, unless a job needs it.
 */
export class LayerShelf {
  readonly dir: string
  readonly #maxBytes: number
  readonly #logger: Logger
  /** By digest, least recently used first, with sizes. */
  readonly #layers = new Map<string, number>()
  readonly #images = new Map<string, string>()
  readonly #holds = new Map<string, number>()
  #writing: Promise<void> = Promise.resolve()

  constructor(dir: string, options: { maxBytes: number; logger: Logger }) {
    this.dir = dir
    this.#maxBytes = options.maxBytes
    this.#logger = options.logger
  }

  /** Reads what an earlier process left; files that nothing names go. */
  async open(): Promise<void> {
    await mkdir(this.dir, { recursive: true, mode: 0o700 })
    const { images, layers } = await this.#read()
    for (const { diffId, size } of layers) {
      const found = await stat(this.pathOf(diffId)).catch(() => undefined)
      if (found?.isFile() && found.size === size) this.#layers.set(diffId, size)
    }
    for (const { key, id } of images) this.#images.set(key, id)
    const named = new Set([
      'images.json',
      ...[...this.#layers.keys()].map((diffId) => `${hexOf(diffId)}.tar`),
      ...[...this.#images.values()].map((id) => `${hexOf(id)}.json`),
    ])
    for (const name of await readdir(this.dir)) {
      if (!named.has(name)) await rm(join(this.dir, name), { force: true })
    }
  }

  pathOf(diffId: string): string {
    return join(this.dir, `${hexOf(diffId)}.tar`)
  }

  sizeOf(diffId: string): number | undefined {
    return this.#layers.get(diffId)
  }

  has(diffId: string): boolean {
    return this.#layers.has(diffId)
  }

  /** An image that was exported before, also when some of its layers have gone since. */
  async image(key: string): Promise<ShelvedImage | undefined> {
    const id = this.#images.get(key)
    if (id === undefined) return undefined
    const config = await readFile(this.#configPath(id)).catch(() => undefined)
    const sound = config !== undefined && idOf(config) === id
    return sound ? { key, id, config } : undefined
  }

  /** Keeps layers from going until the answer is called. */
  hold(diffIds: readonly string[]): () => void {
    for (const diffId of diffIds) this.#holds.set(diffId, (this.#holds.get(diffId) ?? 0) + 1)
    let held = true
    return () => {
      if (!held) return
      held = false
      for (const diffId of diffIds) {
        const left = this.#holds.get(diffId)! - 1
        if (left > 0) this.#holds.set(diffId, left)
        else this.#holds.delete(diffId)
      }
      this.#shrink().catch((cause) => {
        this.#logger.warn('exported layers cannot be removed', { cause: String(cause) })
      })
    }
  }

  /** Takes what an export brought. When it resolves, all of it is durable. */
  async take(key: string, { config, layers }: ExportedImage): Promise<ShelvedImage> {
    const id = idOf(config)
    const { diffIds } = readImageConfig(config, key)
    for (const [diffId, { path, size }] of layers) {
      await rename(path, this.pathOf(diffId))
      this.#layers.set(diffId, size)
    }
    await this.#writeFile(this.#configPath(id), config)
    await this.used(key, id, diffIds)
    return { key, id, config }
  }

  /** They are what was used last. */
  async used(key: string, id: string, diffIds: readonly string[]): Promise<void> {
    const last = [...this.#images.keys()].at(-1) === key
    this.#images.delete(key)
    this.#images.set(key, id)
    for (const diffId of diffIds) {
      const size = this.#layers.get(diffId)
      if (size === undefined) continue
      this.#layers.delete(diffId)
      this.#layers.set(diffId, size)
    }
    if (!last) await this.#shrink()
    await this.#save()
  }

  async #shrink(): Promise<void> {
    let bytes = this.#layers.values().reduce((sum, size) => sum + size, 0)
    const gone: string[] = []
    for (const [diffId, size] of this.#layers) {
      if (bytes <= this.#maxBytes) break
      if (this.#holds.has(diffId)) continue
      this.#layers.delete(diffId)
      gone.push(this.pathOf(diffId))
      bytes -= size
    }
    const ids = new Set(this.#images.values())
    for (const [key, id] of this.#images) {
      if (this.#images.size <= IMAGES_REMEMBERED) break
      this.#images.delete(key)
      ids.delete(id)
      gone.push(this.#configPath(id))
    }
    if (gone.length === 0) return
    await this.#save()
    for (const path of gone) await rm(path, { force: true })
  }

  async #read(): Promise<Pick<ShelfDocument, 'images' | 'layers'>> {
    try {
      const text = await readFile(join(this.dir, 'images.json'), 'utf8')
      const { v, images, layers } = JSON.parse(text) as ShelfDocument
      if (
        v === 1 &&
        [...images.map(({ id }) => id), ...layers.map(({ diffId }) => diffId)].every(isDigest)
      ) {
        return { images, layers }
      }
    } catch {
      // None yet, or one that was not ours: what was exported is exported again.
    }
    return { images: [], layers: [] }
  }

  #save(): Promise<void> {
    const write = async () => {
      const document: ShelfDocument = {
        v: 1,
        images: [...this.#images].map(([key, id]) => ({ key, id })),
        layers: [...this.#layers].map(([diffId, size]) => ({ diffId, size })),
      }
      await this.#writeFile(join(this.dir, 'images.json'), Buffer.from(JSON.stringify(document)))
    }
    this.#writing = this.#writing.catch(() => {}).then(write)
    return this.#writing
  }

  async #writeFile(path: string, bytes: Uint8Array): Promise<void> {
    const temporary = join(this.dir, `tmp-${randomBytes(9).toString('hex')}`)
    const handle = await open(temporary, 'wx', 0o600)
    try {
      await handle.writeFile(bytes)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await rename(temporary, path)
    const directory = await open(this.dir, 'r')
    await directory.sync().finally(() => directory.close())
  }

  #configPath(id: string): string {
    return join(this.dir, `${hexOf(id)}.json`)
  }
}

function hexOf(digest: string): string {
  return digest.slice('sha256:'.length)
}

function isDigest(text: unknown): boolean {
  return typeof text === 'string' && /^sha256:[0-9a-f]{64}$/.test(text)
}

function idOf(config: Uint8Array): string {
  return `sha256:${createHash('sha256').update(config).digest('hex')}`
}
