import { MemoryDirectory, type MemoryNode } from './memory-node.ts'

const MODE_DIRECTORY = 0o040000
const MODE_FILE = 0o100000
const BLOCK_BYTES = 512

/** What `stat` tells of a node: numbers, or with `bigint` exact ones. */
export class MemoryStats {
  readonly #directory: boolean
  readonly dev: number | bigint
  readonly ino: number | bigint
  readonly mode: number | bigint
  readonly nlink: number | bigint
  readonly uid: number | bigint
  readonly gid: number | bigint
  readonly size: number | bigint
  readonly blocks: number | bigint
  readonly atimeMs: number | bigint
  readonly mtimeMs: number | bigint
  readonly ctimeMs: number | bigint
  readonly mtimeNs: bigint | undefined
  readonly ctimeNs: bigint | undefined

  constructor(node: MemoryNode, bigint: boolean) {
    const as = (value: number) => (bigint ? BigInt(value) : value)
    const ms = (ns: bigint) => (bigint ? ns / 1_000_000n : Number(ns) / 1e6)
    this.#directory = node instanceof MemoryDirectory
    const size = node instanceof MemoryDirectory ? 0 : node.size
    this.dev = as(1)
    this.ino = as(node.ino)
    this.mode = as((this.#directory ? MODE_DIRECTORY : MODE_FILE) | node.mode)
    this.nlink = as(node instanceof MemoryDirectory ? 2 : node.names)
    this.uid = as(0)
    this.gid = as(0)
    this.size = as(size)
    this.blocks = as(Math.ceil(size / BLOCK_BYTES))
    this.atimeMs = ms(node.mtimeNs)
    this.mtimeMs = ms(node.mtimeNs)
    this.ctimeMs = ms(node.ctimeNs)
    this.mtimeNs = bigint ? node.mtimeNs : undefined
    this.ctimeNs = bigint ? node.ctimeNs : undefined
  }

  isFile(): boolean {
    return !this.#directory
  }

  isDirectory(): boolean {
    return this.#directory
  }

  isSymbolicLink(): boolean {
    return false
  }
}
