import { constants } from 'node:fs'
import { open, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { writeFully } from './hash-file.ts'
import { TRANSFER } from './transfer-limits.ts'

const INDEX_BYTES = 4
/** Times that a chunk may be recorded, before the record is nothing that was written here. */
const MOST_TIMES = 4
/** In the place of an index that is still to come. */
const NONE = 0xff

/**
 * A file with the indexes (uint32, little endian) of the chunks that are in another one. It is behind
 * by `recordMs` at most: what a crash keeps from it is fetched again, and each write would cost a
 * fast transfer more than the chunk's bytes do. It has its room on the disk before the chunks have
 * theirs: when they fill it, what had come is recorded all the same.
 */
export class ChunkRecord {
  readonly #path: string
  #waiting: number[] = []
  /** Where the next index goes, bytes. */
  #end = 0
  #timer: NodeJS.Timeout | undefined
  #writing: Promise<void> = Promise.resolve()

  constructor(path: string) {
    this.#path = path
  }

  /** What was recorded, not more often than it could have been; undefined when nothing was. */
  async read(chunks: number): Promise<Set<number> | undefined> {
    const found = await stat(this.#path).catch(() => undefined)
    if (found === undefined || found.size > chunks * INDEX_BYTES * MOST_TIMES) return undefined
    const record = await readFile(this.#path)
    const recorded = new Set<number>()
    for (let at = 0; at + INDEX_BYTES <= record.length; at += INDEX_BYTES) {
      const index = record.readUInt32LE(at)
      if (index >= chunks) continue
      recorded.add(index)
      this.#end = at + INDEX_BYTES
    }
    return recorded
  }

  /** An empty one, with room for each of the chunks once. */
  async begin(chunks: number): Promise<void> {
    await this.remove()
    await writeFile(this.#path, Buffer.alloc(chunks * INDEX_BYTES, NONE), { mode: 0o600 })
  }

  /** Chunks whose bytes are written. */
  add(chunks: Iterable<number>): void {
    for (const chunk of chunks) this.#waiting.push(chunk)
    if (this.#waiting.length === 0) return
    this.#timer ??= setTimeout(() => void this.flush(), TRANSFER.recordMs).unref()
  }

  /** Resolves when everything added is in the file, or cannot be: then the next time tries again. */
  flush(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#writing = this.#writing.then(async () => {
      const indexes = this.#waiting.splice(0)
      if (indexes.length === 0) return
      const bytes = Buffer.alloc(indexes.length * INDEX_BYTES)
      for (const [at, index] of indexes.entries()) bytes.writeUInt32LE(index, at * INDEX_BYTES)
      await this.#write(bytes).catch(() => {
        this.#waiting = indexes.concat(this.#waiting)
      })
    })
    return this.#writing
  }

  /** Forgets all of it. */
  async remove(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    await this.#writing
    this.#waiting = []
    this.#end = 0
    await rm(this.#path, { force: true })
  }

  async #write(bytes: Buffer): Promise<void> {
    await using file = await open(this.#path, constants.O_WRONLY | constants.O_CREAT, 0o600)
    await writeFully(file, bytes, this.#end)
    this.#end += bytes.length
  }
}
