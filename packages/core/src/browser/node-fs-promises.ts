import {
  closeSync,
  fchmodSync,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readSync,
  writeSync,
} from './descriptors.ts'
import type { PathLike } from './memory-files.ts'
import { MemoryListing } from './memory-listing.ts'
import type { MemoryStats } from './memory-stats.ts'
import * as files from './node-fs.ts'

// What stands for node:fs/promises in a browser.

export const constants = files.constants

/** An open file of this page's memory. */
export class FileHandle implements AsyncDisposable {
  readonly fd: number
  #closed = false

  constructor(fd: number) {
    this.fd = fd
  }

  async read(
    into: Uint8Array,
    offset?: number,
    length?: number,
    position?: number | null,
  ): Promise<{ bytesRead: number; buffer: Uint8Array }> {
    return { bytesRead: readSync(this.fd, into, offset, length, position), buffer: into }
  }

  async write(
    bytes: Uint8Array,
    offset?: number,
    length?: number,
    position?: number | null,
  ): Promise<{ bytesWritten: number; buffer: Uint8Array }> {
    return { bytesWritten: writeSync(this.fd, bytes, offset, length, position), buffer: bytes }
  }

  async writeFile(content: files.FileContent): Promise<void> {
    writeSync(this.fd, typeof content === 'string' ? Buffer.from(content) : content)
  }

  async readFile(): Promise<Uint8Array> {
    const bytes = Buffer.alloc(Number(fstatSync(this.fd).size))
    readSync(this.fd, bytes, 0, bytes.length, 0)
    return bytes
  }

  async stat(options?: { bigint?: boolean }): Promise<MemoryStats> {
    return fstatSync(this.fd, options)
  }

  async truncate(size?: number): Promise<void> {
    ftruncateSync(this.fd, size)
  }

  async chmod(mode: number): Promise<void> {
    fchmodSync(this.fd, mode)
  }

  /** There are no owners. */
  async chown(): Promise<void> {}

  async sync(): Promise<void> {
    fsyncSync(this.fd)
  }

  async datasync(): Promise<void> {
    fdatasyncSync(this.fd)
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    closeSync(this.fd)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

export async function open(
  path: PathLike,
  flags?: string | number,
  mode?: number,
): Promise<FileHandle> {
  return new FileHandle(openSync(path, flags, mode))
}

export async function opendir(path: PathLike): Promise<MemoryListing> {
  return new MemoryListing(path)
}

/** A function that waits on its thread, as one that is waited for. */
function later<Args extends unknown[], Result>(
  now: (...args: Args) => Result,
): (...args: Args) => Promise<Result> {
  return async (...args) => now(...args)
}

export const access = later(files.accessSync)
export const chmod = later(files.chmodSync)
export const copyFile = later(files.copyFileSync)
export const link = later(files.linkSync)
export const lstat = later(files.lstatSync)
export const mkdir = later(files.mkdirSync)
export const mkdtemp = later(files.mkdtempSync)
export const readFile = later(files.readFileSync)
export const readdir = later(files.readdirSync)
export const readlink = later(files.readlinkSync)
export const realpath = later(files.realpathSync)
export const rename = later(files.renameSync)
export const rm = later(files.rmSync)
export const rmdir = later(files.rmdirSync)
export const stat = later(files.statSync)
export const truncate = later(files.truncateSync)
export const unlink = later(files.unlinkSync)
export const utimes = later(files.utimesSync)
export const writeFile = later(files.writeFileSync)
