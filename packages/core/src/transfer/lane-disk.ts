import { randomBytes } from 'node:crypto'
import { closeSync, fchmodSync, fsync, openSync, renameSync, writeSync } from 'node:fs'
import { open, rename, rm } from 'node:fs/promises'
import { promisify } from 'node:util'
import { seal } from '../artifacts/durable-directory.ts'
import { writeFully } from '../artifacts/hash-file.ts'
import { type FileWriter, fileWriter } from './direct-write.ts'
import type { LocatedFile, ReceivePiece } from './lane-messages.ts'
import { blockingReader, type LaneReader, pooledReader } from './lane-reader.ts'
import { OpenFiles } from './open-files.ts'

type WritePlace = Pick<ReceivePiece, 'path' | 'position' | 'direct'>

/** The files that a lane reads and writes. */
export interface LaneDisk extends LaneReader {
  /** Whether its reads and writes wait on the thread. */
  readonly blocking: boolean
  /** Writes into a file that exists; one that has got its name, because it is whole, is left as it is. */
  write(place: WritePlace, bytes: Uint8Array): void | Promise<void>
  /** Makes a whole file, read-only and durable, under a temporary name that begins so; then gives it its name. */
  create(path: string, temporary: string, bytes: Uint8Array): Promise<void>
}

/**
 * @param blocking - reads and writes wait on the thread: cheaper by half, for threads that do nothing
 *   else
 */
export function createLaneDisk({ blocking }: { blocking: boolean }): LaneDisk {
  return new Disk(blocking)
}

const syncOf = promisify(fsync)

class Disk implements LaneDisk {
  readonly blocking: boolean
  readonly #reader: LaneReader
  readonly #writers = new OpenFiles<FileWriter>((writer) => writer.close())
  /** Another lane may bring the same file: each writes its own, and the last name counts. */
  readonly #mark = randomBytes(6).toString('hex')
  #created = 0

  constructor(blocking: boolean) {
    this.blocking = blocking
    this.#reader = blocking ? blockingReader() : pooledReader()
  }

  open(file: LocatedFile): unknown {
    return this.#reader.open(file)
  }

  read(file: LocatedFile, position: number, into: Uint8Array): void | Promise<void> {
    return this.#reader.read(file, position, into)
  }

  async write({ path, position, direct }: WritePlace, bytes: Uint8Array): Promise<void> {
    if (this.blocking) {
      this.#writers.get(path, () => openWriter(path, direct))?.write(bytes, position)
      return
    }
    const handle = await open(path, 'r+').catch(unlessNamed)
    try {
      if (handle !== undefined) await writeFully(handle, bytes, position)
    } finally {
      await handle?.close()
    }
  }

  async create(path: string, temporary: string, bytes: Uint8Array): Promise<void> {
    this.#created += 1
    const own = `${temporary}-${this.#mark}-${this.#created}`
    try {
      if (this.blocking) return await createNow(own, path, bytes)
      const handle = await open(own, 'wx', 0o600)
      try {
        await writeFully(handle, bytes, 0)
        await seal(handle, 0o444)
      } finally {
        await handle.close()
      }
      await rename(own, path)
    } catch (error) {
      await rm(own, { force: true })
      throw error
    }
  }

  async close(): Promise<void> {
    this.#writers.close()
    await this.#reader.close()
  }
}

/**
 * Threads that make files in one directory at once wait for its lock, and do it on the processor: so
 * one thread makes them, and only the disk is waited for elsewhere.
 */
async function createNow(own: string, path: string, bytes: Uint8Array): Promise<void> {
  const fd = openSync(own, 'wx', 0o600)
  try {
    let done = 0
    while (done < bytes.length) done += writeSync(fd, bytes, done, bytes.length - done, done)
    fchmodSync(fd, 0o444)
    await syncOf(fd)
  } finally {
    closeSync(fd)
  }
  renameSync(own, path)
}

function openWriter(path: string, direct = false): FileWriter | undefined {
  try {
    return fileWriter(path, direct)
  } catch (error) {
    return unlessNamed(error)
  }
}

/** What another lane brought earlier may have made a file whole: then it is not there any more. */
function unlessNamed(error: unknown): undefined {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  return undefined
}
