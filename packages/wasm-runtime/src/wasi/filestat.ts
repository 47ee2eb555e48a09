import type { Descriptor } from './descriptors.ts'
import type { TreeNode } from './file-tree.ts'
import type { GuestMemory } from './guest-memory.ts'

export const FILETYPE = { characterDevice: 2, directory: 3, file: 4 } as const

export const RIGHTS = {
  fdRead: 1n << 1n,
  fdWrite: 1n << 6n,
  /** All that exist: a directory hands its rights on, and what really holds is decided at the call. */
  all: (1n << 30n) - 1n,
} as const

export const FILESTAT_BYTES = 64
const FDSTAT_BYTES = 24
const FDFLAG_APPEND = 1

export const fileType = (node: TreeNode): number => FILETYPE[node.kind]

export function writeFilestat(memory: GuestMemory, at: number, node: TreeNode | undefined): void {
  memory.bytes(at, FILESTAT_BYTES).fill(0)
  memory.setU64(at + 8, node?.inode ?? 0n)
  memory.setU8(at + 16, node === undefined ? FILETYPE.characterDevice : fileType(node))
  memory.setU64(at + 24, 1n)
  memory.setU64(at + 32, BigInt(node?.size ?? 0))
  const timeNs = BigInt(node?.mtimeMs ?? 0) * 1_000_000n
  for (const offset of [40, 48, 56]) memory.setU64(at + offset, timeNs)
}

export function writeFdstat(memory: GuestMemory, at: number, descriptor: Descriptor): void {
  memory.bytes(at, FDSTAT_BYTES).fill(0)
  let type: number = FILETYPE.characterDevice
  let rights = descriptor.kind === 'output' ? RIGHTS.fdWrite : RIGHTS.fdRead
  if (descriptor.kind === 'directory') {
    type = FILETYPE.directory
    rights = RIGHTS.all
    memory.setU64(at + 16, RIGHTS.all)
  }
  if (descriptor.kind === 'file') {
    type = FILETYPE.file
    rights = RIGHTS.all
    if (!descriptor.readable) rights &= ~RIGHTS.fdRead
    if (!descriptor.writable) rights &= ~RIGHTS.fdWrite
    if (descriptor.append) memory.setU16(at + 2, FDFLAG_APPEND)
  }
  memory.setU8(at, type)
  memory.setU64(at + 8, rights)
}
