import { WASM_LIMITS } from '../wasm-limits.ts'
import { WasiError } from './errno.ts'
import type { DirectoryNode, TreeNode } from './file-tree.ts'

/** Bytes of one path and of one name, as on the wire. */
export const PATH_BYTES = 1024
const NAME_BYTES = 255

/** Where a path leads: the directory, the last name in it, and what is there. */
export interface Place {
  parent: DirectoryNode
  name: string
  node: TreeNode | undefined
  /** Levels below the tree's root. */
  depth: number
  /** The path ended in a slash, so only a directory will do. */
  mustBeDirectory: boolean
}

/**
 * Follows a path from an open directory. `..` may go up to that directory and no further; absolute
 * paths lead nowhere, because a module has no root, only what it was given.
 *
 * @returns the directory itself for `.`, else the place
 */
export function walk(base: DirectoryNode, baseDepth: number, path: string): Place | DirectoryNode {
  if (path === '') throw new WasiError('NOENT')
  if (path.startsWith('/')) throw new WasiError('NOTCAPABLE')
  const trail: DirectoryNode[] = [base]
  let place: Place | undefined
  for (const name of path.split('/')) {
    if (name === '' || name === '.') continue
    if (place !== undefined) trail.push(entered(place))
    place = undefined
    if (name === '..') {
      trail.pop()
      if (trail.length === 0) throw new WasiError('NOTCAPABLE')
      continue
    }
    const parent = trail.at(-1)!
    const depth = baseDepth + trail.length
    place = { parent, name, node: parent.get(name), depth, mustBeDirectory: false }
  }
  if (place === undefined) return trail.at(-1)!
  place.mustBeDirectory = path.endsWith('/') || path.endsWith('/.')
  if (place.mustBeDirectory && place.node?.kind === 'file') throw new WasiError('NOTDIR')
  return place
}

function entered(place: Place): DirectoryNode {
  if (place.node === undefined) throw new WasiError('NOENT')
  if (place.node.kind !== 'directory') throw new WasiError('NOTDIR')
  return place.node
}

/** Refuses names that could not be written to the host's disk as they are. */
export function checkNewName(place: Place): void {
  if (place.depth > WASM_LIMITS.pathDepth) throw new WasiError('NAMETOOLONG')
  if (Buffer.byteLength(place.name) > NAME_BYTES) throw new WasiError('NAMETOOLONG')
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is refused
  if (/[\u0000-\u001f\u007f\\]/.test(place.name)) throw new WasiError('INVAL')
}
