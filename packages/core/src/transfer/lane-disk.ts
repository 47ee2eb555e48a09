import { randomBytes } from 'node:crypto'
import { closeSync, fchmodSync, fsync, openSync, readSync, renameSync, writeSync } from 'node:fs'
import { type FileHandle, open, rename, rm } from 'node:fs/promises'
import { promisify } from 'node:util'
import { seal } from '../artifacts/durable-directory.ts'
import { readFully, writeFully } from '../artifacts/hash-file.ts'
import { openRegular } from '../artifacts/open-regular.ts'
import { TRANSFER } from '../artifacts/transfer-limits.ts'
import { ManyhandsError } from '../errors.ts'
import { type FileWriter, fileWriter } from './direct-write.ts'
import type { LocatedFile, ReceivePiece } from './lane-messages.ts'

type WritePlace = Pick<ReceivePiece, 'path' | 'position' | 'direct'>

/** The files that a lane reads and writes. A few that were used last stay open. */
export interface LaneDisk {
  /** Whether its reads and writes wait on the thread. */
  readonly blocking: boolean
  /** Opens a file, so that it can be read under whatever name. @throws INPUT_CHANGED, ARTIFACT_MISSING */
  open(file: LocatedFile): Promise<unknown>
  /** Fills `into`. @throws INPUT_CHANGED, ARTIFACT_MISSING */
  read(file: LocatedFile, position: number, into: Uint8Array): void | Promise<void>
  /** Writes into a file that exists; one that has got its name, because it is whole, is left as it is. */
  write(place: WritePlace, bytes: Uint8Array): void | Promise<void>
  /** Makes a whole file, read-only and durable, under a temporary name that begins so; then gives it its name. */
  create(path: string, temporary: string, bytes: Uint8Array): Promise<void>
  close(): Promise<void>
}

/**
 * @param blocking - reads and writes wait on the thread: cheaper by half, for threads that do nothing
 *   else
 */
export function createLaneDisk({ blocking }: { blocking: boolean }): LaneDisk {
  return new OpenFiles(blocking)
}

const syncOf = promisify(fsync)

class OpenFiles implements LaneDisk {
  readonly blocking: boolean
  /** By path, least recently used first. */
  readonly #reading = new Map<string, Promise<FileHandle>>()
  readonly #writing = new Map<string, FileWriter>()

  constructor(blocking: boolean) {
    this.blocking = blocking
  }

  async read(file: LocatedFile, position: number, into: Uint8Array): Promise<void> {
    const handle = await this.open(file)
    if (!this.blocking) return readFully(handle, into, position)
    let done = 0
    while (done < into.length) {
      const read = readSync(handle.fd, into, done, into.length - done, position + done)
      if (read === 0) throw new ManyhandsError('INPUT_CHANGED', `${file.path}: became shorter`)
      done += read
    }
  }

  async write({ path, position, direct }: WritePlace, bytes: Uint8Array): Promise<void> {
    if (this.blocking) return this.#writerOf(path, direct)?.write(bytes, position)
    const handle = await open(path, 'r+').catch(unlessNamed)
    try {
      if (handle !== undefined) await writeFully(handle, bytes, position)
    } finally {
      await handle?.close()
    }
  }

  async create(path: string, temporary: string, bytes: Uint8Array): Promise<void> {
    // Another lane may bring the same file: each writes its own, and the last name counts.
    const own = `${temporary}-${randomBytes(6).toString('hex')}`
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
    for (const writer of this.#writing.values()) writer.close()
    this.#writing.clear()
    const reading = [...this.#reading.values()]
    this.#reading.clear()
    for (const handle of reading) await handle.then((open) => open.close()).catch(() => undefined)
  }

  async open(file: LocatedFile): Promise<FileHandle> {
    const known = this.#reading.get(file.path)
    if (known !== undefined) {
      this.#reading.delete(file.path)
      this.#reading.set(file.path, known)
      return known
    }
    const opening = openLocated(file)
    this.#reading.set(file.path, opening)
    opening.catch(() => this.#reading.delete(file.path))
    for (const [path, oldest] of this.#reading) {
      if (this.#reading.size <= TRANSFER.filesOpen) break
      this.#reading.delete(path)
      await oldest.then((handle) => handle.close()).catch(() => undefined)
    }
    return opening
  }

  #writerOf(path: string, direct = false): FileWriter | undefined {
    const writer = this.#writing.get(path) ?? openWriter(path, direct)
    if (writer === undefined) return undefined
    this.#writing.delete(path)
    this.#writing.set(path, writer)
    for (const [oldest, { close }] of this.#writing) {
      if (this.#writing.size <= TRANSFER.filesOpen) break
      close()
      this.#writing.delete(oldest)
    }
    return writer
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

function openWriter(path: string, direct: boolean): FileWriter | undefined {
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

async function openLocated({ path, seen }: LocatedFile): Promise<FileHandle> {
  if (seen === undefined) {
    return open(path, 'r').catch((cause) => {
      throw new ManyhandsError('ARTIFACT_MISSING', 'its bytes are gone from this store', { cause })
    })
  }
  const handle = await openRegular(path, seen, 'INPUT_CHANGED')
  const now = await handle.stat({ bigint: true })
  if (now.size === seen.size && now.mtimeNs === seen.mtimeNs) return handle
  await handle.close()
  throw new ManyhandsError('INPUT_CHANGED', `${path}: changed since it was taken as an input`)
}
