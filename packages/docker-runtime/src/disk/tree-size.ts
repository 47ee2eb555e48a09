import { lstatSync, readdirSync, type Stats } from 'node:fs'
import { join } from 'node:path'

/** Entries looked at before the event loop gets its turn: less than a millisecond. */
const SLICE_ENTRIES = 128
/** What an entry counts at least, an empty file too: a block, as a volume of that size has room for. */
const ENTRY_BYTES = 4096

/**
 * Bytes below a directory that a task writes to. Links are not followed; what vanishes meanwhile is
 * not counted; the walk ends as soon as the limit is passed.
 */
export async function treeSize(root: string, limitBytes: number): Promise<number> {
  let bytes = 0
  let entries = 0
  const directories = [root]
  while (directories.length > 0 && bytes <= limitBytes) {
    const directory = directories.pop()!
    for (const name of namesIn(directory)) {
      entries += 1
      if (entries % SLICE_ENTRIES === 0) await new Promise((resolve) => setImmediate(resolve))
      const path = join(directory, name)
      const found = lookAt(path)
      if (found === undefined) continue
      if (found.isDirectory()) directories.push(path)
      // Directories and links have blocks, too.
      bytes += Math.max(ENTRY_BYTES, found.isFile() ? sizeOf(found) : found.blocks * 512)
      if (bytes > limitBytes) break
    }
  }
  return bytes
}

/** The length counts as well as the blocks: a sparse file becomes whole when it is collected. */
export function sizeOf(file: string | Stats): number {
  const found = typeof file === 'string' ? lookAt(file) : file
  return found === undefined ? 0 : Math.max(found.size, found.blocks * 512)
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory)
  } catch {
    return []
  }
}

function lookAt(path: string): Stats | undefined {
  try {
    return lstatSync(path)
  } catch {
    return undefined
  }
}
