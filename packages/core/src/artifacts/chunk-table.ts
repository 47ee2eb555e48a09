/** Where a chunk lies in a file of the store. */
export interface ChunkPlace {
  /** The file's id. */
  id: string
  offset: number
}

/** Places of one chunk that are remembered: if one file goes, another may still have it. */
const PLACES_PER_CHUNK = 8

/**
 * Chunks of some files by eight bytes of their hashes: open addressing in typed arrays, at most half
 * full, 24 bytes a slot, as there may be a million chunks.
 */
export class ChunkTable {
  readonly capacity: number
  readonly #mask: number
  readonly #keys: Int32Array
  /** Number of the file, plus one; 0: the slot is free. */
  readonly #owners: Float64Array
  readonly #offsets: Float64Array
  /** Chunks by file, of those that are not gone. */
  readonly #counts = new Map<number, number>()
  #size = 0
  #live = 0

  constructor(capacity: number) {
    this.capacity = capacity
    let slots = 2
    while (slots < capacity * 2) slots *= 2
    this.#mask = slots - 1
    this.#keys = new Int32Array(slots * 2)
    this.#owners = new Float64Array(slots)
    this.#offsets = new Float64Array(slots)
  }

  get size(): number {
    return this.#size
  }

  /** Chunks of files that are not gone. */
  get live(): number {
    return this.#live
  }

  /** Share of the capacity that is taken by them. */
  get filled(): number {
    return this.#live / this.capacity
  }

  /** False when the file has that chunk already, or enough others do. */
  add(hashes: Uint8Array, at: number, file: number, offset: number): boolean {
    const [high, low] = [wordOf(hashes, at), wordOf(hashes, at + 4)]
    let places = 0
    let slot = low & this.#mask
    for (; this.#owners[slot] !== 0; slot = (slot + 1) & this.#mask) {
      if (this.#keys[slot * 2] !== high || this.#keys[slot * 2 + 1] !== low) continue
      places += 1
      // A file full of one chunk would make a chain as long as itself.
      if (this.#owners[slot] === file + 1 || places === PLACES_PER_CHUNK) return false
    }
    this.#keys[slot * 2] = high
    this.#keys[slot * 2 + 1] = low
    this.#owners[slot] = file + 1
    this.#offsets[slot] = offset
    this.#counts.set(file, (this.#counts.get(file) ?? 0) + 1)
    this.#size += 1
    this.#live += 1
    return true
  }

  find(hashes: Uint8Array, at: number, files: ReadonlyMap<number, string>): ChunkPlace | undefined {
    const [high, low] = [wordOf(hashes, at), wordOf(hashes, at + 4)]
    let slot = low & this.#mask
    for (; this.#owners[slot] !== 0; slot = (slot + 1) & this.#mask) {
      if (this.#keys[slot * 2] !== high || this.#keys[slot * 2 + 1] !== low) continue
      const id = files.get(this.#owners[slot]! - 1)
      if (id !== undefined) return { id, offset: this.#offsets[slot]! }
    }
    return undefined
  }

  /** A file is gone. */
  forget(file: number): void {
    this.#live -= this.#counts.get(file) ?? 0
    this.#counts.delete(file)
  }
}

function wordOf(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!
}
