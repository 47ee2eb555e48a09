import { randomBytes } from 'node:crypto'
import { type FileHandle, mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { LIMITS } from '../limits.ts'
import type { FiledDocument } from './roster-document.ts'

/** Where the documents of a network outlive the process. */
export interface RosterShelf {
  /** What is there and was not read before, as it was written. */
  unread(): Promise<Uint8Array[]>
  /** Resolves when it is durable. */
  save(filed: FiledDocument): Promise<void>
}

/** For as long as the process lives. */
export const memoryShelf: RosterShelf = { unread: async () => [], save: async () => {} }

const NAME = /^[0-9a-f]{32}$/

/**
 * One file per document in a directory, named after its contents: several processes share it without a lock,
 * and each finds what the others have written.
 */
export class DirectoryShelf implements RosterShelf {
  readonly #path: string
  readonly #read = new Set<string>()

  constructor(path: string) {
    this.#path = path
  }

  async unread(): Promise<Uint8Array[]> {
    const names = await readdir(this.#path).catch(() => [] as string[])
    const fresh = names.filter((name) => NAME.test(name) && !this.#read.has(name))
    const texts: Uint8Array[] = []
    for (const name of fresh.slice(0, 3 * LIMITS.networkMembers)) {
      this.#read.add(name)
      texts.push(new Uint8Array(await readFile(join(this.#path, name))))
    }
    return texts
  }

  async save({ id, bytes }: FiledDocument): Promise<void> {
    if (this.#read.has(id)) return
    await mkdir(this.#path, { recursive: true, mode: 0o700 })
    await writeDurably(join(this.#path, id), bytes)
    this.#read.add(id)
  }
}

/** Writes a file that is there as a whole or not at all, mode 0600. */
export async function writeDurably(path: string, bytes: Uint8Array | string): Promise<void> {
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`
  try {
    const file = await open(temporary, 'wx', 0o600)
    try {
      await file.writeFile(bytes)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
  await syncDirectory(join(path, '..'))
}

async function syncDirectory(path: string): Promise<void> {
  let directory: FileHandle
  try {
    directory = await open(path, 'r')
  } catch (error) {
    // Windows does not open directories, and does not need to.
    if ((error as NodeJS.ErrnoException).code === 'EISDIR') return
    throw error
  }
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}
