import { constants } from 'node:fs'
import { type FileHandle, mkdir, open } from 'node:fs/promises'
import { join } from 'node:path'
import { LIMITS } from '@manyhands/core'
import { GuestFault } from './guest-protocol.ts'
import { MICROVM_LIMITS } from './microvm-limits.ts'

const NEW_FILE =
  constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | (constants.O_NOFOLLOW ?? 0)
const TEXT = new TextDecoder('utf-8', { fatal: true })

/** More than the quota was handed over: either a very full disk or a guest that lies. */
export class OutputTooLarge extends Error {
  override readonly name = 'OutputTooLarge'
}

/**
 * Writes what a guest hands over below a directory that nobody else writes to. Names are relative,
 * without dots; every file is new, and every directory was made here, so nothing leads outside. What the
 * files have in all, and how many they are, is bounded before anything is written.
 */
export class OutputWriter {
  readonly #directory: string
  readonly #maxBytes: number
  #bytes = 0
  #entries = 0
  #file: FileHandle | undefined
  #missing = 0

  constructor(directory: string, maxBytes: number) {
    this.#directory = directory
    this.#maxBytes = maxBytes
  }

  /** @throws GuestFault, OutputTooLarge, what the file system throws */
  async directory(path: Buffer): Promise<void> {
    const target = this.#place(path, 0)
    await mkdir(target, { mode: 0o755 }).catch(refuse)
  }

  async file(path: Buffer, size: number, executable: boolean): Promise<void> {
    const target = this.#place(path, size)
    this.#file = await open(target, NEW_FILE, executable ? 0o755 : 0o644).catch(refuse)
    this.#missing = size
    if (size === 0) await this.#closeFile()
  }

  async data(bytes: Buffer): Promise<void> {
    if (this.#file === undefined || bytes.length > this.#missing) {
      throw new GuestFault('content that belongs to no file')
    }
    await this.#file.writeFile(bytes)
    this.#missing -= bytes.length
    if (this.#missing === 0) await this.#closeFile()
  }

  /** @throws GuestFault when a file is not whole */
  finish(): void {
    if (this.#file !== undefined) throw new GuestFault('a file without its end')
  }

  async close(): Promise<void> {
    await this.#closeFile()
  }

  async #closeFile(): Promise<void> {
    const file = this.#file
    this.#file = undefined
    await file?.close()
  }

  #place(path: Buffer, size: number): string {
    this.finish()
    this.#entries += 1
    this.#bytes += size + MICROVM_LIMITS.entryBytes
    if (this.#bytes > this.#maxBytes || this.#entries > MICROVM_LIMITS.outEntries) {
      throw new OutputTooLarge(`${this.#entries} entries of ${this.#bytes} bytes`)
    }
    return join(this.#directory, safePath(path))
  }
}

/** @throws GuestFault for a path that is not plainly below the directory */
export function safePath(path: Buffer): string {
  let text: string
  try {
    text = TEXT.decode(path)
  } catch {
    throw new GuestFault('a path that is no text')
  }
  const names = text.split('/')
  const bad = (name: string) =>
    name === '' || name === '.' || name === '..' || Buffer.byteLength(name) > LIMITS.nameBytes
  if (path.length > LIMITS.pathBytes || text.includes('\0') || names.some(bad)) {
    throw new GuestFault(`the path ${JSON.stringify(text.slice(0, 100))}`)
  }
  return text
}

/** A parent that was never announced, or a name twice. */
function refuse(error: NodeJS.ErrnoException): never {
  if (['ENOENT', 'EEXIST', 'ENOTDIR', 'EISDIR', 'ELOOP'].includes(error.code ?? '')) {
    throw new GuestFault(`a path that does not fit: ${error.code}`)
  }
  throw error
}
