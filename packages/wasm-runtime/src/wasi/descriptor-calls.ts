import type { OpenFile } from './descriptors.ts'
import { WasiError } from './errno.ts'
import type { TreeNode } from './file-tree.ts'
import { fileType, writeFdstat, writeFilestat } from './filestat.ts'
import { type Call, type System, safeNumber } from './system.ts'

const WHENCE = { set: 0, current: 1, end: 2 } as const
const DIRENT_BYTES = 24
const FDFLAG_APPEND = 1

function seekTo(file: OpenFile, delta: bigint, whence: number): number {
  const bases: Record<number, number> = {
    [WHENCE.set]: 0,
    [WHENCE.current]: file.offset,
    [WHENCE.end]: file.node.size,
  }
  const base = bases[whence]
  if (base === undefined) throw new WasiError('INVAL')
  return safeNumber(BigInt(base) + delta)
}

/** Calls on what is open. */
export function descriptorCalls(system: System) {
  const { memory, descriptors } = system

  const writableFile = (fd: number): OpenFile => {
    const file = descriptors.file(fd)
    if (!file.writable) throw new WasiError('BADF')
    return file
  }

  const read = (fd: number, vectors: number, count: number, result: number, at?: bigint) => {
    const descriptor = descriptors.get(fd)
    let total = 0
    if (descriptor.kind !== 'input') {
      const file = descriptors.file(fd)
      if (!file.readable) throw new WasiError('BADF')
      const start = at === undefined ? file.offset : safeNumber(at)
      for (const target of memory.vectors(vectors, count)) {
        const read = file.node.read(target, start + total, file.hostFile)
        total += read
        if (read < target.length) break
      }
      if (at === undefined) file.offset = start + total
    } else if (at !== undefined) throw new WasiError('SPIPE')
    memory.setU32(result, total)
  }

  const write = (fd: number, vectors: number, count: number, result: number, at?: bigint) => {
    const descriptor = descriptors.get(fd)
    let total = 0
    if (descriptor.kind === 'output') {
      if (at !== undefined) throw new WasiError('SPIPE')
      for (const source of memory.vectors(vectors, count)) {
        descriptor.write(source)
        total += source.length
      }
    } else {
      const file = writableFile(fd)
      const start = at === undefined ? (file.append ? file.node.size : file.offset) : safeNumber(at)
      for (const source of memory.vectors(vectors, count)) {
        if (source.length > 0) file.node.write(source, start + total)
        total += source.length
      }
      if (at === undefined) file.offset = start + total
    }
    memory.setU32(result, total)
  }

  return {
    fd_read: (fd: number, vectors: number, count: number, result: number) =>
      read(fd, vectors, count, result),
    fd_pread: (fd: number, vectors: number, count: number, at: bigint, result: number) =>
      read(fd, vectors, count, result, at),
    fd_write: (fd: number, vectors: number, count: number, result: number) =>
      write(fd, vectors, count, result),
    fd_pwrite: (fd: number, vectors: number, count: number, at: bigint, result: number) =>
      write(fd, vectors, count, result, at),

    fd_seek: (fd: number, delta: bigint, whence: number, result: number) => {
      const file = descriptors.file(fd)
      file.offset = seekTo(file, delta, whence)
      memory.setU64(result, BigInt(file.offset))
    },
    fd_tell: (fd: number, result: number) =>
      memory.setU64(result, BigInt(descriptors.file(fd).offset)),
    fd_close: (fd: number) => descriptors.close(fd),
    fd_renumber: (from: number, to: number) => descriptors.renumber(from, to),

    fd_fdstat_get: (fd: number, result: number) => writeFdstat(memory, result, descriptors.get(fd)),
    fd_fdstat_set_flags: (fd: number, flags: number) => {
      const descriptor = descriptors.get(fd)
      if (descriptor.kind === 'file') descriptor.append = (flags & FDFLAG_APPEND) !== 0
    },
    fd_fdstat_set_rights: (fd: number) => {
      descriptors.get(fd)
    },

    fd_filestat_get: (fd: number, result: number) => {
      const descriptor = descriptors.get(fd)
      writeFilestat(memory, result, 'node' in descriptor ? descriptor.node : undefined)
    },
    fd_filestat_set_size: (fd: number, size: bigint) =>
      writableFile(fd).node.resize(safeNumber(size)),
    fd_filestat_set_times: (fd: number) => {
      descriptors.get(fd)
    },
    fd_advise: (fd: number) => {
      descriptors.file(fd)
    },
    fd_allocate: (fd: number, offset: bigint, length: bigint) => {
      const { node } = writableFile(fd)
      const end = safeNumber(offset) + safeNumber(length)
      if (end > node.size) node.resize(end)
    },
    fd_sync: (fd: number) => {
      descriptors.get(fd)
    },
    fd_datasync: (fd: number) => {
      descriptors.get(fd)
    },

    fd_prestat_get: (fd: number, result: number) => {
      const descriptor = descriptors.get(fd)
      // Programs probe upwards from 3 until BADF.
      if (descriptor.kind !== 'directory' || descriptor.preopen === undefined) {
        throw new WasiError('BADF')
      }
      memory.setU32(result, 0)
      memory.setU32(result + 4, Buffer.byteLength(descriptor.preopen))
    },
    fd_prestat_dir_name: (fd: number, buffer: number, length: number) => {
      const { preopen } = descriptors.directory(fd)
      if (preopen === undefined) throw new WasiError('BADF')
      const name = Buffer.from(preopen)
      if (length >>> 0 < name.length) throw new WasiError('NAMETOOLONG')
      memory.bytes(buffer, name.length).set(name)
    },

    fd_readdir: (fd: number, buffer: number, length: number, cookie: bigint, result: number) => {
      const directory = descriptors.directory(fd)
      const target = memory.bytes(buffer, length)
      const names = descriptors.listing(directory.node, cookie === 0n)
      let used = 0
      for (let index = safeNumber(cookie); used < target.length; index += 1) {
        const name = names[index]
        if (name === undefined) break
        const node: TreeNode = directory.node.get(name) ?? directory.node
        const bytes = Buffer.from(name)
        const entry = new DataView(new ArrayBuffer(DIRENT_BYTES))
        entry.setBigUint64(0, BigInt(index + 1), true)
        entry.setBigUint64(8, node.inode, true)
        entry.setUint32(16, bytes.length, true)
        entry.setUint8(20, fileType(node))
        // An entry that does not fit is cut: a full buffer tells the program to ask again.
        for (const part of [new Uint8Array(entry.buffer), bytes]) {
          const fitting = part.subarray(0, target.length - used)
          target.set(fitting, used)
          used += fitting.length
        }
      }
      memory.setU32(result, used)
    },
  } satisfies Record<string, Call>
}
