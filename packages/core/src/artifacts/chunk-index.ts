import type { ManifestFile } from './artifact-store.ts'
import { chunkCount, chunkOffset, type FileChunks } from './chunk-layout.ts'
import { type ChunkPlace, ChunkTable } from './chunk-table.ts'
import { fileId } from './manifest.ts'
import { TRANSFER } from './transfer-limits.ts'

const HASH_BYTES = 32
/** Of the whole: what is forgotten at once, when there is no more room. */
const TABLES = 16
const SMALLEST_TABLE = 1024

/**
 * Finds chunks by their hash in the files of this store. It keeps eight bytes of a hash, so what it
 * says has to be checked by whoever reads the bytes. Files of one chunk are not in it: they are found
 * by their id.
 *
 * There are several tables, filled one after the other: none is ever built anew, which would take the
 * time of a hundred requests, and to forget is to drop one.
 */
export class ChunkIndex {
  readonly #most: number
  readonly #largest: number
  /** Ids by number. */
  readonly #files = new Map<number, string>()
  readonly #numbers = new Map<string, number>()
  #next = 0
  /** The newest last. */
  #tables: ChunkTable[] = []
  #size = 0

  /** @param most - chunks remembered; what came first is forgotten first */
  constructor(most: number = TRANSFER.chunksIndexed) {
    this.#most = most
    this.#largest = Math.max(1, Math.floor(most / TABLES))
  }

  /** Chunks remembered, those of files that are gone too as long as their table is needed. */
  get size(): number {
    return this.#size
  }

  /** Takes a file of which all bytes are here. */
  add(file: ManifestFile): void {
    const count = chunkCount(file)
    const id = fileId(file)
    if (count <= 1 || this.#numbers.has(id)) return
    const number = this.#next++
    this.#files.set(number, id)
    this.#numbers.set(id, number)
    for (let chunk = 0; chunk < count; chunk++) {
      const added = this.#table().add(
        file.chunks,
        chunk * HASH_BYTES,
        number,
        chunkOffset(file, chunk),
      )
      if (added) this.#size += 1
    }
  }

  /** A file is no longer here. */
  remove(id: string): void {
    const number = this.#numbers.get(id)
    if (number === undefined) return
    this.#numbers.delete(id)
    this.#files.delete(number)
    this.#tables = this.#tables.filter((table) => {
      table.forget(number)
      if (table.live > 0) return true
      this.#size -= table.size
      return false
    })
  }

  /** Where a chunk of a file may lie in another one. */
  find(file: FileChunks, chunk: number): ChunkPlace | undefined {
    for (let index = this.#tables.length - 1; index >= 0; index--) {
      const found = this.#tables[index]!.find(file.chunks, chunk * HASH_BYTES, this.#files)
      if (found !== undefined) return found
    }
    return undefined
  }

  /** The table with room for one more. */
  #table(): ChunkTable {
    if (this.#size >= this.#most) this.#dropOne()
    const newest = this.#tables.at(-1)
    if (newest !== undefined && newest.size < newest.capacity) return newest
    const wanted = newest === undefined ? SMALLEST_TABLE : newest.capacity * 2
    const table = new ChunkTable(Math.min(wanted, this.#largest))
    this.#tables.push(table)
    return table
  }

  /** What is mostly of files that are gone, and of what is left the oldest; the newest is being filled. */
  #dropOne(): void {
    let drop = 0
    for (let index = 1; index < this.#tables.length - 1; index++) {
      if (this.#tables[index]!.filled < this.#tables[drop]!.filled) drop = index
    }
    const [table] = this.#tables.splice(drop, 1)
    this.#size -= table!.size
  }
}
