import { WasiError } from './errno.ts'
import { DirectoryNode, FileNode, ownTree, type TreeNode } from './file-tree.ts'
import { RIGHTS, writeFilestat } from './filestat.ts'
import { checkNewName, PATH_BYTES, type Place, walk } from './path-walk.ts'
import type { Call, System } from './system.ts'

const OPEN = { create: 1, directory: 2, exclusive: 4, truncate: 8 } as const
const FDFLAG_APPEND = 1

/** Calls on names. There are no links of either kind: nothing can point out of a directory. */
export function pathCalls(system: System) {
  const { memory, descriptors } = system

  const find = (fd: number, path: number, length: number): Place | DirectoryNode => {
    const { node, depth } = descriptors.directory(fd)
    return walk(node, depth, memory.text(path, length, PATH_BYTES))
  }

  /** A name below a directory; the directory itself cannot be removed, renamed or created. */
  const named = (fd: number, path: number, length: number): Place => {
    const place = find(fd, path, length)
    if (place instanceof DirectoryNode) throw new WasiError('INVAL')
    return place
  }

  const existing = (fd: number, path: number, length: number): TreeNode => {
    const place = find(fd, path, length)
    const node = place instanceof DirectoryNode ? place : place.node
    if (node === undefined) throw new WasiError('NOENT')
    return node
  }

  const create = <Node extends TreeNode>(place: Place, make: () => Node): Node => {
    const { quota, removed } = place.parent
    if (quota === undefined) throw new WasiError('ROFS')
    if (removed) throw new WasiError('NOENT')
    checkNewName(place)
    quota.addEntry()
    const node = make()
    place.parent.set(place.name, node)
    return node
  }

  const remove = (place: Place, node: TreeNode) => {
    place.parent.delete(place.name)
    node.unlinked()
  }

  return {
    path_open: (
      fd: number,
      _lookup: number,
      path: number,
      length: number,
      open: number,
      rights: bigint,
      _inheriting: bigint,
      flags: number,
      result: number,
    ) => {
      memory.setU32(result, 0)
      const base = descriptors.directory(fd)
      const place = find(fd, path, length)
      const depth = place instanceof DirectoryNode ? base.depth : place.depth
      let node = place instanceof DirectoryNode ? place : place.node
      if (node === undefined) {
        if (!(open & OPEN.create)) throw new WasiError('NOENT')
        const target = place as Place
        if (open & OPEN.directory || target.mustBeDirectory) throw new WasiError('INVAL')
        node = create(target, () => new FileNode(target.parent.quota))
      } else if (open & OPEN.create && open & OPEN.exclusive) throw new WasiError('EXIST')

      if (node.kind === 'directory') {
        if (open & OPEN.truncate) throw new WasiError('ISDIR')
        memory.setU32(result, descriptors.openDirectory(node, depth))
        return
      }
      if (open & OPEN.directory) throw new WasiError('NOTDIR')
      const writable = (rights & RIGHTS.fdWrite) !== 0n
      const truncate = (open & OPEN.truncate) !== 0
      if (node.quota === undefined && (writable || truncate)) throw new WasiError('ROFS')
      if (truncate) node.resize(0)
      const readable = (rights & RIGHTS.fdRead) !== 0n
      const append = (flags & FDFLAG_APPEND) !== 0
      memory.setU32(result, descriptors.openFile(node, { append, readable, writable }))
    },

    path_create_directory: (fd: number, path: number, length: number) => {
      const place = named(fd, path, length)
      if (place.node !== undefined) throw new WasiError('EXIST')
      create(place, () => new DirectoryNode(place.parent.quota))
    },

    path_filestat_get: (
      fd: number,
      _lookup: number,
      path: number,
      length: number,
      result: number,
    ) => writeFilestat(memory, result, existing(fd, path, length)),

    path_filestat_set_times: (fd: number, _lookup: number, path: number, length: number) => {
      existing(fd, path, length)
    },

    path_unlink_file: (fd: number, path: number, length: number) => {
      const place = named(fd, path, length)
      if (place.node === undefined) throw new WasiError('NOENT')
      if (place.node.kind === 'directory') throw new WasiError('ISDIR')
      remove(place, place.node)
    },

    path_remove_directory: (fd: number, path: number, length: number) => {
      const place = named(fd, path, length)
      if (place.node === undefined) throw new WasiError('NOENT')
      if (place.node.kind === 'file') throw new WasiError('NOTDIR')
      if (place.node.entries.size > 0) throw new WasiError('NOTEMPTY')
      remove(place, place.node)
    },

    path_rename: (
      fromFd: number,
      fromPath: number,
      fromLength: number,
      toFd: number,
      toPath: number,
      toLength: number,
    ) => {
      const from = named(fromFd, fromPath, fromLength)
      const to = named(toFd, toPath, toLength)
      const node = from.node
      if (node === undefined) throw new WasiError('NOENT')
      if (from.parent.quota === undefined || to.parent.quota === undefined) {
        throw new WasiError('ROFS')
      }
      if (to.node === node) return
      if (to.parent.removed) throw new WasiError('NOENT')
      checkNewName(to)
      if (node.kind === 'directory') checkMove(node, to)
      if (node.kind === 'file' && to.mustBeDirectory) throw new WasiError('NOTDIR')
      if (to.node !== undefined) {
        if (to.node.kind !== node.kind) {
          throw new WasiError(to.node.kind === 'directory' ? 'ISDIR' : 'NOTDIR')
        }
        if (to.node.kind === 'directory' && to.node.entries.size > 0) {
          throw new WasiError('NOTEMPTY')
        }
        remove(to, to.node)
      }
      ownTree(node)
      from.parent.delete(from.name)
      to.parent.set(to.name, node)
    },

    path_link: () => {
      throw new WasiError('NOTSUP')
    },
    path_symlink: () => {
      throw new WasiError('NOTSUP')
    },
    path_readlink: (
      fd: number,
      path: number,
      length: number,
      _buffer: number,
      _size: number,
      result: number,
    ) => {
      existing(fd, path, length)
      memory.setU32(result, 0)
      throw new WasiError('INVAL')
    },
  } satisfies Record<string, Call>
}

/**
 * A directory must not become its own descendant (the tree would come loose and could be walked for
 * ever), and moving a deep one must not pass the limit on depth.
 */
function checkMove(directory: DirectoryNode, to: Place): void {
  if (directory === to.parent || contains(directory, to.parent)) throw new WasiError('INVAL')
  if (directory.entries.size > 0) checkDepth(directory, to)
}

function contains(directory: DirectoryNode, wanted: DirectoryNode): boolean {
  for (const node of directory.entries.values()) {
    if (node.kind === 'directory' && (node === wanted || contains(node, wanted))) return true
  }
  return false
}

function checkDepth(directory: DirectoryNode, to: Place): void {
  for (const [name, node] of directory.entries) {
    const place = { parent: directory, name, node, depth: to.depth + 1, mustBeDirectory: false }
    checkNewName(place)
    if (node.kind === 'directory') checkDepth(node, place)
  }
}
