import { lstatSync } from 'node:fs'
import { constants, copyFile, lstat, open, opendir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { FileChunks } from './chunk-layout.ts'
import { type DurableDirectory, seal } from './durable-directory.ts'
import { verifyFile } from './hash-file.ts'

/** One content on the disk, with its executable twin. */
export interface ContentOnDisk {
  files: number
  bytes: number
  /** When it got its name, Unix ms. */
  changedAt: number
}

/**
 * The files of the store by content: `cas/ab/<file id>`, mode 0444, never written again. A second one
 * with `.x` (0555) exists where an executable was placed by link, as an inode has only one mode.
 *
 * References are counted per file id by whoever needs the file, also while it is still on its way; a
 * file is removed only at zero.
 */
export class ContentFiles {
  readonly #dir: string
  readonly #durable: DurableDirectory
  readonly #references = new Map<string, number>()
  readonly #removed: (id: string) => void
  #removal: Promise<void> = Promise.resolve()

  /** @param removed - hears of every file that is about to go */
  constructor(dir: string, durable: DurableDirectory, removed: (id: string) => void = () => {}) {
    this.#dir = dir
    this.#durable = durable
    this.#removed = removed
  }

  path(id: string): string {
    return join(this.#dir, id.slice(0, 2), id)
  }

  async has(id: string): Promise<boolean> {
    try {
      return (await lstat(this.path(id))).isFile()
    } catch {
      return false
    }
  }

  /** The same, at once: for thousands of names it is a tenth of the work of asking the thread pool. */
  hasNow(id: string): boolean {
    try {
      return lstatSync(this.path(id), { throwIfNoEntry: false })?.isFile() === true
    } catch {
      return false
    }
  }

  /** Whether it is there with its own bytes, which are read. */
  async isWhole(id: string, file: FileChunks): Promise<boolean> {
    try {
      await using handle = await open(this.path(id), 'r')
      return (await handle.stat()).size === file.size && (await verifyFile(handle, file))
    } catch {
      return false
    }
  }

  /** Takes a sealed temporary file under its final name. */
  async adopt(temporary: string, id: string): Promise<void> {
    await this.#durable.adopt(temporary, this.path(id))
  }

  /** Path of the content as an executable file, made on first use. */
  async executablePath(id: string): Promise<string> {
    const path = `${this.path(id)}.x`
    if (await exists(path)) return path
    const temporary = this.#durable.temporaryPath()
    try {
      await copyFile(this.path(id), temporary, constants.COPYFILE_FICLONE)
      const handle = await open(temporary, 'r')
      await seal(handle, 0o555).finally(() => handle.close())
      await this.#durable.adopt(temporary, path)
    } catch (error) {
      await rm(temporary, { force: true })
      throw error
    }
    return path
  }

  /** Counts a need; synchronous, so that no removal comes between. */
  acquire(ids: Iterable<string>): void {
    for (const id of ids) this.#references.set(id, (this.#references.get(id) ?? 0) + 1)
  }

  /** Ends needs without removing anything: what was received may still save a later transfer. */
  forget(ids: Iterable<string>): void {
    for (const id of ids) {
      const count = (this.#references.get(id) ?? 0) - 1
      if (count > 0) this.#references.set(id, count)
      else this.#references.delete(id)
    }
  }

  /** Ends needs and removes the files that nothing needs any more. */
  drop(ids: Iterable<string>): Promise<void> {
    const gone = [...ids]
    this.forget(gone)
    return this.#remove(async () => {
      for (const id of gone) await this.#removeUnneeded(id)
    })
  }

  /** Removes those of these files that nothing needs. */
  discard(ids: string[]): Promise<void> {
    return this.#remove(async () => {
      for (const id of ids) await this.#removeUnneeded(id)
    })
  }

  /** Removes files that are not what they should be, whoever needs them. */
  removeDamaged(ids: Iterable<string>): Promise<void> {
    return this.#remove(async () => {
      for (const id of ids) await this.#removeFile(id)
    })
  }

  /** Whether anybody counts on this file, on the disk or on its way. */
  isNeeded(id: string): boolean {
    return this.#references.has(id)
  }

  /** What is there, by id. */
  async onDisk(): Promise<Map<string, ContentOnDisk>> {
    const found = new Map<string, ContentOnDisk>()
    for await (const { name, path } of this.#list()) {
      const seen = await lstat(path).catch(() => undefined)
      if (seen === undefined) continue
      const id = name.replace(/\.x$/, '')
      const one = found.get(id) ?? { files: 0, bytes: 0, changedAt: 0 }
      found.set(id, one)
      one.files += 1
      one.bytes += seen.size
      // The time of change: a task may have given its file any time of modification.
      one.changedAt = Math.max(one.changedAt, seen.ctimeMs)
    }
    return found
  }

  /** Resolves when removals that were decided before an {@link acquire} are over. */
  settled(): Promise<void> {
    return this.#removal
  }

  async usage(): Promise<{ bytes: number; files: number }> {
    const sum = { bytes: 0, files: 0 }
    for (const { bytes, files } of (await this.onDisk()).values()) {
      sum.bytes += bytes
      sum.files += files
    }
    return sum
  }

  #remove(work: () => Promise<void>): Promise<void> {
    const run = this.#removal.then(work)
    this.#removal = run.catch(() => undefined)
    return run
  }

  async #removeUnneeded(id: string): Promise<void> {
    if (!this.#references.has(id)) await this.#removeFile(id)
  }

  async #removeFile(id: string): Promise<void> {
    this.#removed(id)
    const path = this.path(id)
    await Promise.all([rm(path, { force: true }), rm(`${path}.x`, { force: true })])
  }

  async *#list(): AsyncGenerator<{ name: string; path: string }> {
    for await (const shard of await opendir(this.#dir)) {
      const directory = join(this.#dir, shard.name)
      for await (const { name } of await opendir(directory)) {
        yield { name, path: join(directory, name) }
      }
    }
  }
}

async function exists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  )
}
