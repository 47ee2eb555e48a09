import { lstatSync, readdirSync, type Stats } from 'node:fs'
import { join } from 'node:path'
import { WalkPace } from '@manyhands/core'

/** What an entry counts at least, an empty file too: a block, as a volume of that size has room for. */
const ENTRY_BYTES = 4096

/** The share of a core that a walk takes: what it does not know yet may be over the limit. */
const DUTY = { first: 0.05, late: 0.5 }
const AT_ONCE = { first: 1, late: 1 }

/**
 * Bytes below a directory that a task writes to. Links are not followed; what vanishes meanwhile is
 * not counted; the walk ends as soon as the limit is passed.
 *
 * @param ended for a walk that rests in between: whether it is wanted no more; it answers what it has then
 */
export async function treeSize(
  root: string,
  limitBytes: number,
  ended?: () => boolean,
): Promise<number> {
  const pace = new WalkPace(ended === undefined ? AT_ONCE : DUTY)
  let bytes = 0
  const directories = [root]
  while (directories.length > 0 && bytes <= limitBytes) {
    const directory = directories.pop()!
    const names = namesIn(directory)
    // Before any of them is looked at: of a flood of files only the names are read.
    bytes += names.length * ENTRY_BYTES
    for (const name of names) {
      if (bytes > limitBytes) break
      const rest = pace.step()
      if (rest !== undefined) {
        await rest
        if (ended?.()) return bytes
      }
      const path = join(directory, name)
      const found = lookAt(path)
      if (found?.isDirectory()) directories.push(path)
      bytes += found === undefined ? -ENTRY_BYTES : Math.max(0, takes(found) - ENTRY_BYTES)
    }
  }
  return bytes
}

/** The length counts as well as the blocks: a sparse file becomes whole when it is collected. */
export function sizeOf(file: string): number {
  const found = lookAt(file)
  return found === undefined ? 0 : takes(found)
}

/** Directories and links have blocks, too; the length of those is no disk. */
function takes(found: Stats): number {
  return found.isFile() ? Math.max(found.size, found.blocks * 512) : found.blocks * 512
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
