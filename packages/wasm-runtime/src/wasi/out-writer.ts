import {
  closeSync,
  constants,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import type { DirectoryNode, FileNode } from './file-tree.ts'

/**
 * Makes a directory of the host what the module left below /out. Names were checked when they were
 * created; what is in the way (a link, say) is removed, never followed.
 */
export function writeTree(directory: DirectoryNode, hostPath: string): void {
  const entries = directory.entries
  for (const name of readdirSync(hostPath)) {
    const node = entries.get(name)
    const path = join(hostPath, name)
    const stat = lstatSync(path)
    const keep =
      node?.kind === 'directory'
        ? stat.isDirectory()
        : node !== undefined && stat.isFile() && node.contents() === undefined
    if (!keep) rmSync(path, { recursive: true, force: true })
  }
  for (const [name, node] of entries) {
    const path = join(hostPath, name)
    if (node.kind === 'file') writeFile(node, path)
    else {
      if (lstatSync(path, { throwIfNoEntry: false }) === undefined) mkdirSync(path, 0o755)
      writeTree(node, path)
    }
  }
}

function writeFile(node: FileNode, path: string): void {
  const contents = node.contents()
  if (contents === undefined) return
  const file = openSync(
    path,
    constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW,
    0o644,
  )
  try {
    for (let offset = 0; offset < contents.length; ) {
      offset += writeSync(file, contents, offset, contents.length - offset)
    }
  } finally {
    closeSync(file)
  }
}
