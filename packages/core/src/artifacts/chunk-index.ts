import type { ManifestFile } from './artifact-store.ts'
import { chunkCount, chunkHash, chunkOffset } from './chunk-layout.ts'
import { fileId } from './manifest.ts'
import { TRANSFER } from './transfer-limits.ts'

/** Where a chunk lies in a file of the store. */
export interface ChunkPlace {
  /** The file's id. */
  id: string
  offset: number
}

const FEWEST_SLOTS = 1024
/** Slots in use of those there are; beyond, chains of neighbours become long. */
const LOAD = 0.5
/** Places of one chunk that are remembered: if one file goes, another may still have it. */
const PLACES_PER_CHUNK = 8

/**
 * Finds chunks by their hash in the files of this store. It keeps eight bytes of a hash, so what it
 * says has to be checked by whoever reads the bytes. Files of one chunk are not in it: they are found
 * by their id.
 *
 * One table with open addressing in typed arrays, 20 bytes a slot, as there may be a million chunks.
 */
export class ChunkIndex {
  readonly #most: number
  /** By number; undefined where a file is gone. */
  #files: (string | undefined)[] = []
  readonly #numbers = new Map<string, number>()
  #keys = new Uint32Array(FEWEST_SLOTS * 2)
  /** Number of the file, plus one; 0: the slot is free. */
  #owners = new Uint32Array(FEWEST_SLOTS)
  #offsets = new Float64Array(FEWEST_SLOTS)
  #used = 0

  /** @param most - chunks remembered; those of the files that came first are forgotten first */
  constructor(most: number = TRANSFER.chunksIndexed) {
    this.#most = most
  }

  /** Entries, those of files that are gone too until there is need for room. */
  get size(): number {
    return this.#used
  }

  /** Takes a file of which all bytes are here. */
  add(file: ManifestFile): void {
    const count = chunkCount(file)
    if (count <= 1 || this.#numbers.has(fileId(file))) return
    this.#makeRoom(Math.min(count, this.#most))
    const owner = this.#files.push(fileId(file))
    this.#numbers.set(fileId(file), owner - 1)
    for (let chunk = 0; chunk < Math.min(count, this.#most); chunk++) {
      const [low, high] = keyOf(chunkHash(file, chunk))
      this.#put(low, high, owner, chunkOffset(file, chunk))
    }
  }

  /** A file is no longer here. */
  remove(id: string): void {
    const number = this.#numbers.get(id)
    if (number === undefined) return
    this.#numbers.delete(id)
    this.#files[number] = undefined
  }

  /** Where a chunk with this hash may lie. */
  find(hash: Uint8Array): ChunkPlace | undefined {
    const [low, high] = keyOf(hash)
    for (const slot of this.#chain(low)) {
      if (this.#keys[slot * 2] !== low || this.#keys[slot * 2 + 1] !== high) continue
      const id = this.#files[this.#owners[slot]! - 1]
      if (id !== undefined) return { id, offset: this.#offsets[slot]! }
    }
    return undefined
  }

  #put(low: number, high: number, owner: number, offset: number): void {
    let places = 0
    let slot = this.#slotOf(low)
    for (; this.#owners[slot] !== 0; slot = this.#after(slot)) {
      if (this.#keys[slot * 2] !== low || this.#keys[slot * 2 + 1] !== high) continue
      places += 1
      // A file full of one chunk would make a chain as long as itself.
      if (this.#owners[slot] === owner || places === PLACES_PER_CHUNK) return
    }
    this.#keys[slot * 2] = low
    this.#keys[slot * 2 + 1] = high
    this.#owners[slot] = owner
    this.#offsets[slot] = offset
    this.#used += 1
  }

  *#chain(low: number): Generator<number> {
    for (let slot = this.#slotOf(low); this.#owners[slot] !== 0; slot = this.#after(slot))
      yield slot
  }

  #slotOf(low: number): number {
    return low % this.#owners.length
  }

  #after(slot: number): number {
    return (slot + 1) % this.#owners.length
  }

  /** Forgets what is gone, and the oldest files where that is not enough; then grows if it must. */
  #makeRoom(wanted: number): void {
    if (this.#used + wanted <= Math.min(this.#most, this.#owners.length * LOAD)) return
    const sizes = new Uint32Array(this.#files.length)
    for (const owner of this.#owners) if (owner !== 0) sizes[owner - 1]! += 1
    let live = 0
    for (const [number, size] of sizes.entries()) {
      if (this.#files[number] !== undefined) live += size
    }
    for (let number = 0; live + wanted > this.#most && number < sizes.length; number++) {
      const id = this.#files[number]
      if (id === undefined) continue
      live -= sizes[number]!
      this.remove(id)
    }
    let slots = FEWEST_SLOTS
    while (slots * LOAD < live + wanted) slots *= 2
    this.#rebuild(slots)
  }

  #rebuild(slots: number): void {
    const { before, keys, owners, offsets } = {
      before: this.#files,
      keys: this.#keys,
      owners: this.#owners,
      offsets: this.#offsets,
    }
    const renumbered = new Uint32Array(before.length)
    this.#files = []
    for (const [number, id] of before.entries()) {
      if (id === undefined) continue
      renumbered[number] = this.#files.push(id)
      this.#numbers.set(id, renumbered[number] - 1)
    }
    this.#keys = new Uint32Array(slots * 2)
    this.#owners = new Uint32Array(slots)
    this.#offsets = new Float64Array(slots)
    this.#used = 0
    for (const [slot, owner] of owners.entries()) {
      const now = owner === 0 ? 0 : renumbered[owner - 1]!
      if (now !== 0) this.#put(keys[slot * 2]!, keys[slot * 2 + 1]!, now, offsets[slot]!)
    }
  }
}

function keyOf(hash: Uint8Array): [low: number, high: number] {
  const view = new DataView(hash.buffer, hash.byteOffset, 8)
  return [view.getUint32(0), view.getUint32(4)]
}
