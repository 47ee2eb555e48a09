import { randomBytes } from 'node:crypto'
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { IMAGE_LIMITS } from './image-limits.ts'

interface LedgerDocument {
  v: 1
  /** Least recently used first. */
  images: LedgerImage[]
}

interface LedgerImage {
  id: string
  /** Bytes of its layers, lowest first, where we loaded it; an engine tells only the sum. */
  sizes?: number[]
}

/**
 * In which order images of ours were used and what their layers take, over restarts. Which ones are
 * ours is said by their tags in the engine; when this file is lost, nothing but order is.
 */
export class ImageLedger {
  readonly #path: string
  #images: LedgerImage[] = []
  #writing: Promise<void> = Promise.resolve()

  constructor(stateDir: string) {
    this.#path = join(stateDir, 'images.json')
  }

  async open(): Promise<void> {
    try {
      const { v, images } = JSON.parse(await readFile(this.#path, 'utf8')) as LedgerDocument
      if (v === 1 && Array.isArray(images)) this.#images = images.filter(isLedgerImage)
    } catch {
      this.#images = []
    }
  }

  /** It is the one that was used last. */
  async used(id: string, sizes = this.sizesOf(id)): Promise<void> {
    const last = this.#images.at(-1)
    if (last?.id === id && last.sizes === sizes) return
    const others = this.#images.filter((known) => known.id !== id)
    this.#images = [...others, { id, sizes }].slice(-IMAGE_LIMITS.imagesRemembered)
    await this.#write()
  }

  async forget(id: string): Promise<void> {
    if (!this.#images.some((known) => known.id === id)) return
    this.#images = this.#images.filter((known) => known.id !== id)
    await this.#write()
  }

  sizesOf(id: string): number[] | undefined {
    return this.#images.find((known) => known.id === id)?.sizes
  }

  /** Ids that are known, least recently used first. */
  get ids(): string[] {
    return this.#images.map(({ id }) => id)
  }

  #write(): Promise<void> {
    this.#writing = this.#writing.catch(() => {}).then(() => this.#writeNow())
    return this.#writing
  }

  async #writeNow(): Promise<void> {
    const temporary = `${this.#path}.${randomBytes(4).toString('hex')}`
    const document: LedgerDocument = { v: 1, images: this.#images }
    await mkdir(join(this.#path, '..'), { recursive: true })
    try {
      const handle = await open(temporary, 'wx', 0o600)
      try {
        await handle.writeFile(JSON.stringify(document))
        await handle.sync()
      } finally {
        await handle.close()
      }
      await rename(temporary, this.#path)
    } catch (error) {
      await rm(temporary, { force: true })
      throw error
    }
  }
}

function isLedgerImage(value: unknown): value is LedgerImage {
  const { id, sizes } = (value ?? {}) as { id?: unknown; sizes?: unknown }
  const counted = sizes === undefined || (Array.isArray(sizes) && sizes.every(Number.isSafeInteger))
  return typeof id === 'string' && counted
}
