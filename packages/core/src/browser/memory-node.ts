import { fileError } from './file-error.ts'

/** Bytes of all files together, counted against a limit as a disk's are. */
export class MemoryBudget {
  readonly mostBytes: number
  usedBytes = 0

  constructor(mostBytes: number) {
    this.mostBytes = mostBytes
  }

  /** @throws ENOSPC */
  take(bytes: number, call: string): void {
    if (this.usedBytes + bytes > this.mostBytes) throw fileError('ENOSPC', call)
    this.usedBytes += bytes
  }

  give(bytes: number): void {
    this.usedBytes -= bytes
  }
}

let lastIno = 0
let lastNs = 0n

/** Never the same twice, so that every change of a file can be seen. */
function now(): bigint {
  const ms = BigInt(Date.now()) * 1_000_000n
  lastNs = ms > lastNs ? ms : lastNs + 1n
  return lastNs
}

/** What a directory and a file have in common. */
abstract class MemoryEntry {
  readonly ino = ++lastIno
  mode: number
  mtimeNs = now()
  ctimeNs = this.mtimeNs

  constructor(mode: number) {
    this.mode = mode
  }

  /** It has another name, mode or number of names. */
  changed(): void {
    this.ctimeNs = now()
  }

  /** It has other content. */
  written(): void {
    this.mtimeNs = now()
    this.ctimeNs = this.mtimeNs
  }
}

/** A directory: names in the order in which they were made. */
export class MemoryDirectory extends MemoryEntry {
  readonly entries = new Map<string, MemoryNode>()
}

/** A file. It may have several names, and none while it is open still. */
export class MemoryFile extends MemoryEntry {
  readonly #budget: MemoryBudget
  #bytes = new Uint8Array(0)
  #size = 0
  names = 0
  open = 0

  constructor(mode: number, budget: MemoryBudget) {
    super(mode)
    this.#budget = budget
  }

  get size(): number {
    return this.#size
  }

  /** A view; valid until the next write. */
  get content(): Uint8Array {
    return this.#bytes.subarray(0, this.#size)
  }

  read(into: Uint8Array, position: number): number {
    const part = this.#bytes.subarray(position, Math.min(this.#size, position + into.length))
    into.set(part)
    return part.length
  }

  /** @throws ENOSPC */
  write(bytes: Uint8Array, position: number): void {
    const end = position + bytes.length
    if (end > this.#bytes.length) this.#grow(Math.max(end, Math.min(2 * this.#size, end + SPARE)))
    this.#bytes.set(bytes, position)
    this.#size = Math.max(this.#size, end)
    this.written()
  }

  /** @throws ENOSPC */
  truncate(size: number): void {
    if (size > this.#bytes.length) this.#grow(size)
    else this.#bytes.fill(0, size, this.#size)
    this.#size = size
    this.written()
  }

  /** Gives its memory back when nobody can reach it any more. */
  release(): void {
    if (this.names > 0 || this.open > 0) return
    this.#budget.give(this.#bytes.length)
    this.#bytes = new Uint8Array(0)
    this.#size = 0
  }

  #grow(capacity: number): void {
    this.#budget.take(capacity - this.#bytes.length, 'write')
    const grown = new Uint8Array(capacity)
    grown.set(this.content)
    this.#bytes = grown
  }
}

/** What a file that grows bit by bit gets at most beside what it needs. */
const SPARE = 1024 * 1024

export type MemoryNode = MemoryDirectory | MemoryFile
