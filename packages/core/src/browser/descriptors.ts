import { memoryFiles } from './browser-files.ts'
import { fileError } from './file-error.ts'
import type { MemoryOpen, PathLike } from './memory-files.ts'
import { MemoryFile } from './memory-node.ts'
import { MemoryStats } from './memory-stats.ts'

const opened = new Map<number, MemoryOpen>()
let lastNumber = 2

export function openSync(path: PathLike, flags?: string | number, mode?: number): number {
  const open = memoryFiles.open(path, flags, mode)
  lastNumber += 1
  opened.set(lastNumber, open)
  return lastNumber
}

export function closeSync(fd: number): void {
  memoryFiles.close(openOf(fd, 'close'))
  opened.delete(fd)
}

export function readSync(
  fd: number,
  into: Uint8Array,
  offset = 0,
  length = into.byteLength - offset,
  position: number | bigint | null = null,
): number {
  const open = openOf(fd, 'read')
  const file = fileOf(open, open.readable, 'read')
  const from = Number(position ?? open.position)
  const read = file.read(into.subarray(offset, offset + length), from)
  if (position === null) open.position += read
  return read
}

export function writeSync(
  fd: number,
  bytes: Uint8Array,
  offset = 0,
  length = bytes.byteLength - offset,
  position: number | null = null,
): number {
  const open = openOf(fd, 'write')
  const file = fileOf(open, open.writable, 'write')
  const at = open.append ? file.size : (position ?? open.position)
  file.write(bytes.subarray(offset, offset + length), at)
  if (position === null) open.position = at + length
  return length
}

export function ftruncateSync(fd: number, size = 0): void {
  const open = openOf(fd, 'ftruncate')
  fileOf(open, open.writable, 'ftruncate').truncate(size)
}

export function fstatSync(fd: number, { bigint = false } = {}): MemoryStats {
  return new MemoryStats(openOf(fd, 'fstat').node, bigint)
}

export function fchmodSync(fd: number, mode: number): void {
  const { node } = openOf(fd, 'fchmod')
  node.mode = mode & 0o777
  node.changed()
}

/** There is no disk to wait for. */
export function fsyncSync(fd: number): void {
  openOf(fd, 'fsync')
}

export function fdatasyncSync(fd: number): void {
  openOf(fd, 'fdatasync')
}

function openOf(fd: number, call: string): MemoryOpen {
  const open = opened.get(fd)
  if (open === undefined) throw fileError('EBADF', call)
  return open
}

function fileOf({ node }: MemoryOpen, may: boolean, call: string): MemoryFile {
  if (!(node instanceof MemoryFile)) throw fileError('EISDIR', call)
  if (!may) throw fileError('EBADF', call)
  return node
}
