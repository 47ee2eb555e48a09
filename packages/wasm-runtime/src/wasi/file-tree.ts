/**
 * The files a module sees: directories and plain files, nothing else. /in is read from the host's
 * disk as it is asked for; what is written below /out stays in memory until the module has ended.
 * There are no links, so no path leads out of a tree.
 */
import { closeSync, constants, lstatSync, openSync, readdirSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { WasiError } from './errno.ts'
import type { Quota } from './quota.ts'

export type TreeNode = FileNode | DirectoryNode

let nextInode = 1n

const NO_BYTES = new Uint8Array(0)

/** Opens a plain file of the host, never through a link in its place. */
export const openHostFile = (path: string): number =>
  openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW)

export class FileNode {
  readonly kind = 'file'
  readonly inode = nextInode++
  /** Undefined in a tree that cannot be written. */
  readonly quota: Quota | undefined
  /** Where the content is on the host while it has not been written to. */
  hostPath: string | undefined
  size: number
  mtimeMs: number
  #data = NO_BYTES
  #opens = 0
  #unlinked = false

  constructor(quota: Quota | undefined, host?: { path: string; size: number; mtimeMs: number }) {
    this.quota = quota
    this.hostPath = host?.path
    this.size = host?.size ?? 0
    this.mtimeMs = host?.mtimeMs ?? Date.now()
  }

  /** Copies into `target`; the bytes that there were. `hostFile` is an open descriptor of `hostPath`. */
  read(target: Uint8Array, offset: number, hostFile: number | undefined): number {
    if (offset >= this.size) return 0
    if (this.hostPath !== undefined) return this.#readHost(target, offset, hostFile)
    const part = this.#data.subarray(offset, Math.min(offset + target.length, this.size))
    target.set(part)
    return part.length
  }

  write(source: Uint8Array, offset: number): void {
    this.own()
    if (offset + source.length > this.size) this.resize(offset + source.length)
    this.#data.set(source, offset)
    this.mtimeMs = Date.now()
  }

  resize(size: number): void {
    if (this.quota === undefined) throw new WasiError('ROFS')
    this.own()
    this.quota.charge(size - this.size)
    if (size > this.#data.length) {
      this.#grow(size)
    } else if (size < this.size) {
      this.#data.fill(0, size, this.size)
    }
    this.size = size
    this.mtimeMs = Date.now()
  }

  /** Everything that was written; undefined when the host's file is still what it was. */
  contents(): Uint8Array | undefined {
    return this.hostPath === undefined ? this.#data.subarray(0, this.size) : undefined
  }

  opened(): void {
    this.#opens += 1
  }

  closed(): void {
    this.#opens -= 1
    this.#releaseWhenGone()
  }

  /** Its name is gone. What it takes is given back only when nobody has it open any more. */
  unlinked(): void {
    this.#unlinked = true
    this.#releaseWhenGone()
  }

  #releaseWhenGone(): void {
    if (!this.#unlinked || this.#opens > 0) return
    this.quota?.charge(-this.size)
    this.quota?.removeEntry()
    this.#data = NO_BYTES
  }

  #grow(size: number): void {
    try {
      // Doubling bounds the copying of a file that grows by small writes to twice its size.
      const grown = new Uint8Array(Math.max(size, Math.min(this.#data.length * 2, size + 2 ** 26)))
      grown.set(this.#data.subarray(0, this.size))
      this.#data = grown
    } catch {
      this.quota?.charge(this.size - size)
      throw new WasiError('FBIG')
    }
  }

  #readHost(target: Uint8Array, offset: number, hostFile: number | undefined): number {
    const file = hostFile ?? openHostFile(this.hostPath!)
    try {
      return readSync(file, target, 0, Math.min(target.length, this.size - offset), offset)
    } finally {
      if (hostFile === undefined) closeSync(file)
    }
  }

  /** Takes the content into memory, so that the host's file no longer matters. */
  own(): void {
    if (this.quota === undefined) throw new WasiError('ROFS')
    if (this.hostPath === undefined) return
    const data = new Uint8Array(this.size)
    const read = this.read(data, 0, undefined)
    this.#data = data
    this.hostPath = undefined
    if (read < this.size) throw new WasiError('IO')
  }
}

export class DirectoryNode {
  readonly kind = 'directory'
  readonly inode = nextInode++
  readonly quota: Quota | undefined
  readonly size = 0
  mtimeMs = Date.now()
  /** Whether it was removed while open: nothing can be created in it any more. */
  removed = false
  #hostPath: string | undefined
  #entries: Map<string, TreeNode> | undefined

  constructor(quota: Quota | undefined, hostPath?: string) {
    this.quota = quota
    this.#hostPath = hostPath
  }

  get entries(): ReadonlyMap<string, TreeNode> {
    return this.#loaded()
  }

  get(name: string): TreeNode | undefined {
    return this.#loaded().get(name)
  }

  set(name: string, node: TreeNode): void {
    this.#writable().set(name, node)
    this.mtimeMs = Date.now()
  }

  delete(name: string): void {
    this.#writable().delete(name)
    this.mtimeMs = Date.now()
  }

  unlinked(): void {
    this.removed = true
    this.quota?.removeEntry()
  }

  #writable(): Map<string, TreeNode> {
    if (this.quota === undefined) throw new WasiError('ROFS')
    if (this.removed) throw new WasiError('NOENT')
    return this.#loaded()
  }

  #loaded(): Map<string, TreeNode> {
    if (this.#entries !== undefined) return this.#entries
    const entries = new Map<string, TreeNode>()
    if (this.#hostPath !== undefined) {
      for (const name of readdirSync(this.#hostPath).sort()) {
        const node = this.#fromHost(join(this.#hostPath, name))
        if (node !== undefined) entries.set(name, node)
      }
    }
    this.#entries = entries
    return entries
  }

  #fromHost(path: string): TreeNode | undefined {
    const stat = lstatSync(path)
    // Links and special files do not exist for the module.
    if (!stat.isFile() && !stat.isDirectory()) return undefined
    this.quota?.addEntry()
    if (stat.isDirectory()) return new DirectoryNode(this.quota, path)
    this.quota?.charge(stat.size)
    return new FileNode(this.quota, { path, size: stat.size, mtimeMs: Math.floor(stat.mtimeMs) })
  }
}

/** Reads a whole tree from the host now, so that its quota is charged for what is there. */
export function loadTree(directory: DirectoryNode): void {
  for (const node of directory.entries.values()) if (node.kind === 'directory') loadTree(node)
}

/** Takes a tree into memory: its names are about to differ from the host's. */
export function ownTree(node: TreeNode): void {
  if (node.kind === 'file') node.own()
  else for (const child of node.entries.values()) ownTree(child)
}
