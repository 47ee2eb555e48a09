import { closeSync } from 'node:fs'
import { WASM_LIMITS } from '../wasm-limits.ts'
import { WasiError } from './errno.ts'
import { type DirectoryNode, type FileNode, openHostFile } from './file-tree.ts'

export interface StandardInput {
  kind: 'input'
}

export interface StandardOutput {
  kind: 'output'
  write(bytes: Uint8Array): void
}

export interface OpenFile {
  kind: 'file'
  node: FileNode
  offset: number
  append: boolean
  readable: boolean
  writable: boolean
  /** The host's descriptor while the file is read from the host's disk. */
  hostFile: number | undefined
}

export interface OpenDirectory {
  kind: 'directory'
  node: DirectoryNode
  depth: number
  /** Name under which the module was given this directory. */
  preopen: string | undefined
}

export type Descriptor = StandardInput | StandardOutput | OpenFile | OpenDirectory

/** What a module has open; the lowest free number is given out, as programs expect. */
export class Descriptors {
  readonly #open: (Descriptor | undefined)[] = []
  /** The listing that a walk with cookies goes through: one for all, since it may be large. */
  #listing: { node: DirectoryNode; names: string[] } | undefined

  add(descriptor: Descriptor): number {
    let fd = this.#open.indexOf(undefined)
    if (fd === -1) fd = this.#open.length
    if (fd >= WASM_LIMITS.descriptors) {
      this.#release(descriptor)
      throw new WasiError('MFILE')
    }
    this.#open[fd] = descriptor
    return fd
  }

  openFile(node: FileNode, mode: Pick<OpenFile, 'append' | 'readable' | 'writable'>): number {
    node.opened()
    const hostFile = node.hostPath === undefined ? undefined : openHostFile(node.hostPath)
    return this.add({ kind: 'file', node, offset: 0, hostFile, ...mode })
  }

  openDirectory(node: DirectoryNode, depth: number, preopen?: string): number {
    return this.add({ kind: 'directory', node, depth, preopen })
  }

  get(fd: number): Descriptor {
    const descriptor = this.#open[fd >>> 0]
    if (descriptor === undefined) throw new WasiError('BADF')
    return descriptor
  }

  file(fd: number): OpenFile {
    const descriptor = this.get(fd)
    if (descriptor.kind === 'file') return descriptor
    throw new WasiError(descriptor.kind === 'directory' ? 'ISDIR' : 'SPIPE')
  }

  directory(fd: number): OpenDirectory {
    const descriptor = this.get(fd)
    if (descriptor.kind !== 'directory') throw new WasiError('NOTDIR')
    return descriptor
  }

  /**
   * Names in a directory, `.` and `..` first. Taken anew when a walk begins, so that a program may remove
   * entries while it walks them.
   */
  listing(node: DirectoryNode, anew: boolean): readonly string[] {
    if (anew || this.#listing?.node !== node) {
      this.#listing = { node, names: ['.', '..', ...node.entries.keys()] }
    }
    return this.#listing.names
  }

  close(fd: number): void {
    const descriptor = this.get(fd)
    this.#open[fd >>> 0] = undefined
    this.#release(descriptor)
  }

  /** `to` becomes what `from` was. Both have to be open, so nothing is opened by surprise. */
  renumber(from: number, to: number): void {
    const descriptor = this.get(from)
    this.get(to)
    if (from >>> 0 === to >>> 0) return
    this.close(to)
    this.#open[to >>> 0] = descriptor
    this.#open[from >>> 0] = undefined
  }

  closeAll(): void {
    for (const descriptor of this.#open) if (descriptor !== undefined) this.#release(descriptor)
    this.#open.length = 0
  }

  #release(descriptor: Descriptor): void {
    if (descriptor.kind !== 'file') return
    if (descriptor.hostFile !== undefined) closeSync(descriptor.hostFile)
    descriptor.node.closed()
  }
}
