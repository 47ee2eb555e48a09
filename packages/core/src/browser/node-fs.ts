import { memoryFiles } from './browser-files.ts'
import { closeSync, fdatasyncSync, fsyncSync, openSync, writeSync } from './descriptors.ts'
import { fileError } from './file-error.ts'
import { OPEN_FLAGS, type PathLike, textOf } from './memory-files.ts'
import { entriesOf, type MemoryDirent, MemoryListing } from './memory-listing.ts'
import type { MemoryStats } from './memory-stats.ts'

// What stands for node:fs in a browser: the files of this page's memory.

export {
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

export const constants = {
  ...OPEN_FLAGS,
  F_OK: 0,
  R_OK: 4,
  W_OK: 2,
  X_OK: 1,
  COPYFILE_EXCL: 1,
  COPYFILE_FICLONE: 2,
  COPYFILE_FICLONE_FORCE: 4,
} as const

export type FileContent = string | Uint8Array

type Done = (error: Error | null) => void

export function fsync(fd: number, done: Done): void {
  settle(() => fsyncSync(fd), done)
}

export function fdatasync(fd: number, done: Done): void {
  settle(() => fdatasyncSync(fd), done)
}

export function lstatSync(
  path: PathLike,
  { bigint = false, throwIfNoEntry = true } = {},
): MemoryStats | undefined {
  if (!throwIfNoEntry && memoryFiles.find(path, 'lstat') === undefined) return undefined
  return memoryFiles.stat(path, 'lstat', bigint)
}

/** There are no links that one would follow. */
export const statSync = lstatSync

export function accessSync(path: PathLike, _mode?: number): void {
  memoryFiles.get(path, 'access')
}

export function existsSync(path: PathLike): boolean {
  return memoryFiles.find(path, 'access') !== undefined
}

export function mkdirSync(
  path: PathLike,
  options?: { recursive?: boolean; mode?: number },
): string | undefined {
  return memoryFiles.mkdir(path, options)
}

export function readFileSync(
  path: PathLike,
  options?: string | { encoding?: string },
): FileContent {
  const bytes = Buffer.from(memoryFiles.file(path, 'open').content)
  const encoding = typeof options === 'string' ? options : options?.encoding
  return encoding === undefined ? bytes : bytes.toString(encoding as BufferEncoding)
}

export function writeFileSync(
  path: PathLike,
  content: FileContent,
  options: string | { mode?: number; flag?: string } = {},
): void {
  const { mode, flag = 'w' } = typeof options === 'string' ? {} : options
  const fd = openSync(path, flag, mode)
  try {
    writeSync(fd, typeof content === 'string' ? Buffer.from(content) : content)
  } finally {
    closeSync(fd)
  }
}

export function truncateSync(path: PathLike, size = 0): void {
  memoryFiles.file(path, 'truncate').truncate(size)
}

export function copyFileSync(from: PathLike, to: PathLike, mode = 0): void {
  const { content, mode: rights } = memoryFiles.file(from, 'copyfile')
  const flag = (mode & constants.COPYFILE_EXCL) === 0 ? 'w' : 'wx'
  writeFileSync(to, content, { flag, mode: rights })
}

export function chmodSync(path: PathLike, mode: number): void {
  const node = memoryFiles.get(path, 'chmod')
  node.mode = mode & 0o777
  node.changed()
}

export function utimesSync(
  path: PathLike,
  _accessed: Date | number,
  modified: Date | number,
): void {
  const node = memoryFiles.get(path, 'utime')
  const seconds = typeof modified === 'number' ? modified : modified.getTime() / 1000
  node.changed()
  node.mtimeNs = BigInt(Math.round(seconds * 1e6)) * 1000n
}

export function linkSync(from: PathLike, to: PathLike): void {
  memoryFiles.link(from, to)
}

export function renameSync(from: PathLike, to: PathLike): void {
  memoryFiles.rename(from, to)
}

export function unlinkSync(path: PathLike): void {
  memoryFiles.unlink(path)
}

export function rmdirSync(path: PathLike): void {
  memoryFiles.rmdir(path)
}

export function rmSync(path: PathLike, options?: { recursive?: boolean; force?: boolean }): void {
  memoryFiles.rm(path, options)
}

export function realpathSync(path: PathLike): string {
  memoryFiles.get(path, 'realpath')
  return textOf(path)
}

export function readlinkSync(path: PathLike): string {
  throw fileError('EINVAL', 'readlink', textOf(path))
}

export function readdirSync(
  path: PathLike,
  options: { withFileTypes?: boolean } = {},
): string[] | MemoryDirent[] {
  const entries = entriesOf(path)
  return options.withFileTypes ? entries : entries.map(({ name }) => name)
}

export function opendirSync(path: PathLike, options?: { encoding?: string }): MemoryListing {
  return new MemoryListing(path, options)
}

export function mkdtempSync(prefix: string): string {
  const path = `${prefix}${crypto.randomUUID().slice(0, 8)}`
  mkdirSync(path, { mode: 0o700 })
  return path
}

function settle(work: () => void, done: Done): void {
  try {
    work()
    queueMicrotask(() => done(null))
  } catch (error) {
    queueMicrotask(() => done(error as Error))
  }
}
