import { memoryFiles } from './browser-files.ts'
import { type PathLike, textOf } from './memory-files.ts'
import { MemoryDirectory } from './memory-node.ts'

/** One name of a directory. */
export interface MemoryDirent {
  /** Text, or bytes where those were asked for. */
  name: string
  parentPath: string
  isFile(): boolean
  isDirectory(): boolean
  isSymbolicLink(): boolean
}

interface ListingOptions {
  encoding?: string
  bufferSize?: number
  withFileTypes?: boolean
}

/** What a directory has now, as `opendir` gives it: one entry after another. */
export class MemoryListing {
  readonly path: string
  readonly #entries: Iterator<MemoryDirent>

  constructor(path: PathLike, options: ListingOptions = {}) {
    this.path = textOf(path)
    this.#entries = entriesOf(path, options).values()
  }

  readSync(): MemoryDirent | null {
    const { value, done } = this.#entries.next()
    return done ? null : value
  }

  async read(): Promise<MemoryDirent | null> {
    return this.readSync()
  }

  closeSync(): void {}

  async close(): Promise<void> {}

  async *[Symbol.asyncIterator](): AsyncGenerator<MemoryDirent> {
    for (let entry = this.readSync(); entry !== null; entry = this.readSync()) yield entry
  }
}

export function entriesOf(path: PathLike, { encoding }: ListingOptions = {}): MemoryDirent[] {
  const { entries } = memoryFiles.directory(path, 'scandir')
  return [...entries].map(([name, node]) => ({
    name: encoding === 'buffer' ? (Buffer.from(name) as unknown as string) : name,
    parentPath: textOf(path),
    isFile: () => !(node instanceof MemoryDirectory),
    isDirectory: () => node instanceof MemoryDirectory,
    isSymbolicLink: () => false,
  }))
}
