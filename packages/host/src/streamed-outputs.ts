import { LIMITS, type StreamedOutput } from '@manyhands/core'

/** What a copy takes beside its bytes: a block for each of its two small files in the store. */
const COPY_BYTES = 8192

/** The files of one attempt that were taken while it runs, the latest of each path. */
export class StreamedOutputs {
  readonly #files = new Map<string, StreamedOutput>()
  readonly #roots = new Map<string, number>()
  #bytes = 0
  #taken = 0

  /** Bytes that the copies take on this disk. */
  get bytes(): number {
    return this.#bytes
  }

  /** Whether as many were taken as one attempt may have. */
  get full(): boolean {
    return this.#taken >= LIMITS.outputsStreamed
  }

  has(root: string): boolean {
    return this.#roots.has(root)
  }

  all(): StreamedOutput[] {
    return [...this.#files.values()]
  }

  roots(): string[] {
    return [...this.#roots.keys()]
  }

  /** Returns the root that nothing of this attempt needs any more. */
  add(file: StreamedOutput): string | undefined {
    this.#taken += 1
    this.#roots.set(file.root, (this.#roots.get(file.root) ?? 0) + 1)
    this.#bytes += file.bytes + COPY_BYTES
    const before = this.#files.get(file.path)
    // Last again, so that the oldest is first.
    this.#files.delete(file.path)
    this.#files.set(file.path, file)
    return before === undefined ? undefined : this.#drop(before)
  }

  /** Forgets the file that is there for longest. Returns the root that nothing needs any more. */
  dropOldest(): string | undefined {
    const [oldest] = this.#files.values()
    if (oldest === undefined) return undefined
    this.#files.delete(oldest.path)
    return this.#drop(oldest)
  }

  #drop(file: StreamedOutput): string | undefined {
    this.#bytes -= file.bytes + COPY_BYTES
    const uses = this.#roots.get(file.root)! - 1
    if (uses > 0) {
      this.#roots.set(file.root, uses)
      return undefined
    }
    this.#roots.delete(file.root)
    return file.root
  }
}
