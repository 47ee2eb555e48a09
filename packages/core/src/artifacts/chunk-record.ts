import { appendFile, readFile, rm, stat } from 'node:fs/promises'
import { TRANSFER } from './transfer-limits.ts'

const INDEX_BYTES = 4
/** Times that a chunk may be recorded, before the record is nothing that was written here. */
const MOST_TIMES = 4

/**
 * A file with the indexes (uint32, little endian) of the chunks that are in another one. It is behind
 * by `recordMs` at most: what a crash keeps from it is fetched again, and each append would cost a
 * fast transfer more than the chunk's bytes do.
 */
export class ChunkRecord {
  readonly #path: string
  #waiting: number[] = []
  #timer: NodeJS.Timeout | undefined
  #appending: Promise<void> = Promise.resolve()

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
      if (index < chunks) recorded.add(index)
    }
    return recorded
  }

  /** Chunks whose bytes are written. */
  add(chunks: Iterable<number>): void {
    for (const chunk of chunks) this.#waiting.push(chunk)
    if (this.#waiting.length === 0) return
    this.#timer ??= setTimeout(() => void this.flush(), TRANSFER.recordMs).unref()
  }

  /** Resolves when everything added is in the file, or cannot be: then it is fetched again some day. */
  flush(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#appending = this.#appending.then(async () => {
      const indexes = this.#waiting.splice(0)
      if (indexes.length === 0) return
      const bytes = Buffer.alloc(indexes.length * INDEX_BYTES)
      for (const [at, index] of indexes.entries()) bytes.writeUInt32LE(index, at * INDEX_BYTES)
      await appendFile(this.#path, bytes, { mode: 0o600 }).catch(() => undefined)
    })
    return this.#appending
  }

  /** Forgets all of it. */
  async remove(): Promise<void> {
    this.#waiting = []
    await this.flush()
    await rm(this.#path, { force: true })
  }
}
