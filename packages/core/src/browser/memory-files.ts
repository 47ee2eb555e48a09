import { basename, dirname, resolve } from 'pathe'
import { fileError } from './file-error.ts'
import { MemoryBudget, MemoryDirectory, MemoryFile, type MemoryNode } from './memory-node.ts'
import { MemoryStats } from './memory-stats.ts'

/** A path as Node takes it: text, or the bytes of text. */
export type PathLike = string | Uint8Array

/** An open file or directory. */
export interface MemoryOpen {
  node: MemoryNode
  readable: boolean
  writable: boolean
  append: boolean
  /** Where reads and writes go on that name no position. */
  position: number
}

export const OPEN_FLAGS = {
  O_RDONLY: 0,
  O_WRONLY: 1,
  O_RDWR: 2,
  O_CREAT: 0o100,
  O_EXCL: 0o200,
  O_TRUNC: 0o1000,
  O_APPEND: 0o2000,
  O_NONBLOCK: 0o4000,
  O_DIRECTORY: 0o200000,
  O_NOFOLLOW: 0o400000,
} as const

const { O_RDONLY, O_WRONLY, O_RDWR, O_CREAT, O_EXCL, O_TRUNC, O_APPEND, O_DIRECTORY } = OPEN_FLAGS
const FLAGS_BY_NAME: Record<string, number> = {
  r: O_RDONLY,
  'r+': O_RDWR,
  w: O_WRONLY | O_CREAT | O_TRUNC,
  wx: O_WRONLY | O_CREAT | O_EXCL,
  'w+': O_RDWR | O_CREAT | O_TRUNC,
  'wx+': O_RDWR | O_CREAT | O_EXCL,
  a: O_WRONLY | O_CREAT | O_APPEND,
  ax: O_WRONLY | O_CREAT | O_APPEND | O_EXCL,
  'a+': O_RDWR | O_CREAT | O_APPEND,
}

/**
 * A file system in memory, with what a store of artifacts and a journal ask of one, and its errors as Node
 * gives them. No links but hard ones, no owners, no rights: whoever has the page has all of it.
 */
export class MemoryFiles {
  readonly #root = new MemoryDirectory(0o755)
  readonly #budget: MemoryBudget

  /** @param mostBytes - of all files together; beyond it writing fails with ENOSPC */
  constructor(mostBytes: number) {
    this.#budget = new MemoryBudget(mostBytes)
  }

  get usedBytes(): number {
    return this.#budget.usedBytes
  }

  /** @throws ENOENT, ENOTDIR */
  get(path: PathLike, call: string): MemoryNode {
    const found = this.find(path, call)
    if (found === undefined) throw fileError('ENOENT', call, textOf(path))
    return found
  }

  find(path: PathLike, call: string): MemoryNode | undefined {
    let node: MemoryNode | undefined = this.#root
    for (const name of partsOf(path)) {
      if (node === undefined) return undefined
      if (node instanceof MemoryFile) throw fileError('ENOTDIR', call, textOf(path))
      node = node.entries.get(name)
    }
    return node
  }

  directory(path: PathLike, call: string): MemoryDirectory {
    const node = this.get(path, call)
    if (node instanceof MemoryDirectory) return node
    throw fileError('ENOTDIR', call, textOf(path))
  }

  file(path: PathLike, call: string): MemoryFile {
    const node = this.get(path, call)
    if (node instanceof MemoryFile) return node
    throw fileError('EISDIR', call, textOf(path))
  }

  stat(path: PathLike, call: string, bigint = false): MemoryStats {
    return new MemoryStats(this.get(path, call), bigint)
  }

  open(path: PathLike, flags: string | number = 'r', mode = 0o666): MemoryOpen {
    const bits = typeof flags === 'number' ? flags : FLAGS_BY_NAME[flags]
    if (bits === undefined) throw fileError('EINVAL', 'open', textOf(path))
    const access = bits & 3
    let node = this.find(path, 'open')
    if (node === undefined) {
      if ((bits & O_CREAT) === 0) throw fileError('ENOENT', 'open', textOf(path))
      node = new MemoryFile(mode & 0o777, this.#budget)
      this.#name(path, node, 'open')
    } else if ((bits & O_CREAT) !== 0 && (bits & O_EXCL) !== 0) {
      throw fileError('EEXIST', 'open', textOf(path))
    }
    if (node instanceof MemoryFile) {
      if ((bits & O_DIRECTORY) !== 0) throw fileError('ENOTDIR', 'open', textOf(path))
      if ((bits & O_TRUNC) !== 0) node.truncate(0)
      node.open += 1
    } else if (access !== O_RDONLY) throw fileError('EISDIR', 'open', textOf(path))
    return {
      node,
      readable: access !== O_WRONLY,
      writable: access !== O_RDONLY,
      append: (bits & O_APPEND) !== 0,
      position: 0,
    }
  }

  close(open: MemoryOpen): void {
    if (!(open.node instanceof MemoryFile)) return
    open.node.open -= 1
    open.node.release()
  }

  /** @returns the first directory that was made */
  mkdir(path: PathLike, { recursive = false, mode = 0o777 } = {}): string | undefined {
    const found = this.find(path, 'mkdir')
    if (found instanceof MemoryDirectory && recursive) return undefined
    if (found !== undefined) throw fileError('EEXIST', 'mkdir', textOf(path))
    const absolute = resolve('/', textOf(path))
    const parent = dirname(absolute)
    const first = recursive ? this.mkdir(parent, { recursive, mode }) : undefined
    this.#name(absolute, new MemoryDirectory(mode & 0o777), 'mkdir')
    return recursive ? (first ?? absolute) : undefined
  }

  link(from: PathLike, to: PathLike): void {
    const node = this.file(from, 'link')
    if (this.find(to, 'link') !== undefined) throw fileError('EEXIST', 'link', textOf(to))
    this.#name(to, node, 'link')
  }

  rename(from: PathLike, to: PathLike): void {
    const node = this.get(from, 'rename')
    const target = this.find(to, 'rename')
    if (target === node) return
    if (target instanceof MemoryDirectory) {
      if (node instanceof MemoryFile) throw fileError('EISDIR', 'rename', textOf(to))
      if (target.entries.size > 0) throw fileError('ENOTEMPTY', 'rename', textOf(to))
    } else if (target !== undefined && node instanceof MemoryDirectory) {
      throw fileError('ENOTDIR', 'rename', textOf(to))
    }
    const [absolute, destination] = [resolve('/', textOf(from)), resolve('/', textOf(to))]
    if (`${destination}/`.startsWith(`${absolute}/`)) throw fileError('EINVAL', 'rename', absolute)
    // Where it goes is looked at before it is taken away.
    this.directory(dirname(destination), 'rename')
    if (target !== undefined) this.#unname(to, 'rename')
    if (node instanceof MemoryFile) node.names += 1
    this.#unname(from, 'rename')
    if (node instanceof MemoryFile) node.names -= 1
    this.#name(to, node, 'rename')
  }

  unlink(path: PathLike): void {
    this.file(path, 'unlink')
    this.#unname(path, 'unlink')
  }

  rmdir(path: PathLike): void {
    const { entries } = this.directory(path, 'rmdir')
    if (entries.size > 0) throw fileError('ENOTEMPTY', 'rmdir', textOf(path))
    this.#unname(path, 'rmdir')
  }

  rm(path: PathLike, { recursive = false, force = false } = {}): void {
    const node = force && recursive ? this.#findBelow(path) : this.find(path, 'rm')
    if (node === undefined) {
      if (force) return
      throw fileError('ENOENT', 'rm', textOf(path))
    }
    if (node instanceof MemoryDirectory) {
      if (!recursive) throw fileError('EISDIR', 'rm', textOf(path))
      for (const name of [...node.entries.keys()]) this.rm(`${textOf(path)}/${name}`, { recursive })
    }
    this.#unname(path, 'rm')
  }

  /** As {@link find}, and nothing where a file is on the way. */
  #findBelow(path: PathLike): MemoryNode | undefined {
    try {
      return this.find(path, 'rm')
    } catch {
      return undefined
    }
  }

  #name(path: PathLike, node: MemoryNode, call: string): void {
    const absolute = resolve('/', textOf(path))
    const parent = this.directory(dirname(absolute), call)
    parent.entries.set(basename(absolute), node)
    parent.written()
    if (node instanceof MemoryFile) node.names += 1
    node.changed()
  }

  #unname(path: PathLike, call: string): void {
    const absolute = resolve('/', textOf(path))
    if (absolute === '/') throw fileError('EACCES', call, absolute)
    const parent = this.directory(dirname(absolute), call)
    const node = parent.entries.get(basename(absolute))
    parent.entries.delete(basename(absolute))
    parent.written()
    if (!(node instanceof MemoryFile)) return
    node.names -= 1
    node.changed()
    node.release()
  }
}

export function textOf(path: PathLike): string {
  return typeof path === 'string' ? path : new TextDecoder().decode(path)
}

function partsOf(path: PathLike): string[] {
  return resolve('/', textOf(path))
    .split('/')
    .filter((name) => name !== '')
}
