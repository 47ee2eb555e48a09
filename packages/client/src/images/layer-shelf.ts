import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type ExportedImage,
  type GcAmount,
  type GcOptions,
  type GcRoom,
  type GcSection,
  type Logger,
  readImageConfig,
} from '@manyhands/core'
import { readIndex, SHELF_INDEX, writeDurably, writeIndex } from './shelf-index.ts'

/** An image whose layers may be here. */
export interface ShelvedImage {
  /** The engine's own name for it. */
  key: string
  /** sha256 of its configuration. */
  id: string
  config: Uint8Array
}

/** Images that are remembered; a configuration has some kilobytes. */
const IMAGES_REMEMBERED = 1024

/**
 * Layers that were exported from an engine, one file each by its digest, so that no image is exported
 * twice and what two have in common is there once. Nothing half-written has a final name. When all
 * together take more than the limit, what was used least recently goes, unless a job needs it.
 */
export class LayerShelf implements GcRoom {
  readonly room = 'images'
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

  /** Reads what an earlier process left; files that nothing names go, unless it is only looked at. */
  async open({ readOnly = false }: { readOnly?: boolean } = {}): Promise<void> {
    if (!readOnly) await mkdir(this.dir, { recursive: true, mode: 0o700 })
    const { images, layers } = await readIndex(this.dir)
    for (const { diffId, size } of layers) {
      const found = await stat(this.pathOf(diffId)).catch(() => undefined)
      if (found?.isFile() && found.size === size) this.#layers.set(diffId, size)
    }
    for (const { key, id } of images) this.#images.set(key, id)
    if (readOnly) return
    const named = new Set([
      SHELF_INDEX,
      ...[...this.#layers.keys()].map((diffId) => `${hexOf(diffId)}.tar`),
      ...[...this.#images.values()].map((id) => `${hexOf(id)}.json`),
    ])
    for (const name of await readdir(this.dir)) {
      if (!named.has(name)) await rm(join(this.dir, name), { force: true })
    }
  }

  get isEmpty(): boolean {
    return this.#layers.size === 0
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
    await writeDurably(this.#configPath(id), config)
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

  async collectGarbage({ dryRun = false, keepBytes }: GcOptions): Promise<GcSection> {
    const most = Math.min(keepBytes ?? Number.POSITIVE_INFINITY, this.#maxBytes)
    const gone = dryRun ? this.#excess(most) : await this.#shrink(most)
    const left = [...this.#layers].filter(([diffId]) => !gone.has(diffId))
    const [held, kept] = [true, false].map((wanted) =>
      amountOf(left.filter(([diffId]) => this.#holds.has(diffId) === wanted)),
    ) as [GcAmount, GcAmount]
    const reasons = [
      { reason: 'layers that running jobs need', ...held },
      { reason: 'layers for later jobs', ...kept },
    ]
    return {
      room: this.room,
      removed: amountOf([...gone]),
      kept: reasons.filter(({ files }) => files > 0),
    }
  }

  /** Layers that nobody needs, least recently used first, until the rest takes at most so much. */
  #excess(maxBytes: number): Map<string, number> {
    let bytes = this.#layers.values().reduce((sum, size) => sum + size, 0)
    const excess = new Map<string, number>()
    for (const [diffId, size] of this.#layers) {
      if (bytes <= maxBytes) break
      if (this.#holds.has(diffId)) continue
      excess.set(diffId, size)
      bytes -= size
    }
    return excess
  }

  /** Returns what went, with sizes. */
  async #shrink(maxBytes = this.#maxBytes): Promise<Map<string, number>> {
    const excess = this.#excess(maxBytes)
    for (const diffId of excess.keys()) this.#layers.delete(diffId)
    const gone = [...excess.keys()].map((diffId) => this.pathOf(diffId))
    for (const [key, id] of this.#images) {
      if (this.#images.size <= IMAGES_REMEMBERED) break
      this.#images.delete(key)
      gone.push(this.#configPath(id))
    }
    if (gone.length === 0) return excess
    // First the index, then what it rests on: a crash in between leaves files that the next one removes.
    await this.#save()
    for (const path of gone) await rm(path, { force: true })
    return excess
  }

  #save(): Promise<void> {
    const write = () =>
      writeIndex(this.dir, {
        v: 1,
        images: [...this.#images].map(([key, id]) => ({ key, id })),
        layers: [...this.#layers].map(([diffId, size]) => ({ diffId, size })),
      })
    this.#writing = this.#writing.catch(() => {}).then(write)
    return this.#writing
  }

  #configPath(id: string): string {
    return join(this.dir, `${hexOf(id)}.json`)
  }
}

function amountOf(layers: [string, number][]): GcAmount {
  const bytes = layers.reduce((sum, [, size]) => sum + size, 0)
  return { artifacts: layers.length, files: layers.length, bytes }
}

function hexOf(digest: string): string {
  return digest.slice('sha256:'.length)
}

function idOf(config: Uint8Array): string {
  return `sha256:${createHash('sha256').update(config).digest('hex')}`
}

/** Tidies up a shelf that no client has open. */
export async function tidyIdleShelf(dir: string, options: GcOptions): Promise<GcSection> {
  const logger: Logger = { debug: () => {}, warn: () => {} }
  const shelf = new LayerShelf(dir, { maxBytes: Number.POSITIVE_INFINITY, logger })
  await shelf.open({ readOnly: options.dryRun })
  return shelf.collectGarbage(options)
}
