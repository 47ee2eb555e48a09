import { randomBytes } from 'node:crypto'
import { type FileHandle, mkdir, open, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { writeFully } from './hash-file.ts'

/**
 * Gives files their final names durably: temp in the same file system → fsync → rename → fsync of the
 * directory. The last step is put off to {@link flush}, because many files share a directory.
 */
export class DurableDirectory {
  readonly #temporary: string
  readonly #made = new Map<string, Promise<unknown>>()
  #dirty = new Set<string>()

  constructor(temporary: string) {
    this.#temporary = temporary
  }

  /** A name that nothing has; what is under it after a crash is removed when the store opens. */
  temporaryPath(): string {
    return join(this.#temporary, `tmp-${randomBytes(9).toString('hex')}`)
  }

  /** Writes a new file and makes its bytes durable; it has its final name after {@link adopt}. */
  async writeTemporary(bytes: Uint8Array, mode: number): Promise<string> {
    const path = this.temporaryPath()
    const handle = await open(path, 'wx', mode)
    try {
      await writeFully(handle, bytes, 0)
      await seal(handle, mode)
    } catch (error) {
      await rm(path, { force: true })
      throw error
    } finally {
      await handle.close()
    }
    return path
  }

  async adopt(temporary: string, path: string): Promise<void> {
    await this.prepare(path)
    await rename(temporary, path)
    this.named(path)
  }

  /** Makes the directory of a name, for whoever gives it. */
  async prepare(path: string): Promise<void> {
    const directory = dirname(path)
    let made = this.#made.get(directory)
    if (made === undefined) {
      made = mkdir(directory, { recursive: true, mode: 0o755 }).then((first) => {
        if (first !== undefined) this.#dirty.add(dirname(directory))
      })
      this.#made.set(directory, made)
      made.catch(() => this.#made.delete(directory))
    }
    await made
  }

  /** A name was given: that is durable after {@link flush}. */
  named(path: string): void {
    this.#dirty.add(dirname(path))
  }

  /** A name was taken away: that, too, is durable after {@link flush}. */
  removed(path: string): void {
    this.#dirty.add(dirname(path))
  }

  /** Makes durable all names that were given or taken before the call. */
  async flush(): Promise<void> {
    const dirty = [...this.#dirty]
    this.#dirty = new Set()
    try {
      // A directory is one small journal commit; a few at once share it.
      while (dirty.length > 0) await Promise.all(dirty.splice(0, 8).map(syncDirectory))
    } catch (error) {
      for (const directory of dirty) this.#dirty.add(directory)
      throw error
    }
  }
}

/** The last touch before a rename: nobody writes to it any more, and its bytes are on the disk. */
export async function seal(handle: FileHandle, mode: number): Promise<void> {
  await handle.chmod(mode)
  await handle.sync()
}

async function syncDirectory(path: string): Promise<void> {
  let handle: FileHandle
  try {
    handle = await open(path, 'r')
  } catch (error) {
    // Windows does not open directories, and does not need to.
    if ((error as NodeJS.ErrnoException).code === 'EISDIR') return
    throw error
  }
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
