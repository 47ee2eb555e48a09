import { randomBytes } from 'node:crypto'
import { open, readFile, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'

/** What is on a shelf of layers, in the order of use. */
export interface ShelfIndex {
  v: 1
  /** Least recently used first. */
  images: { key: string; id: string }[]
  layers: { diffId: string; size: number }[]
}

/** Name of its file. */
export const SHELF_INDEX = 'images.json'

/** Whether anything was ever put on a shelf there. */
export async function hasShelf(dir: string): Promise<boolean> {
  const found = await stat(join(dir, SHELF_INDEX)).catch(() => undefined)
  return found !== undefined
}

/** What is there; nothing where there is no index, or one that is none. Then layers are exported again. */
export async function readIndex(dir: string): Promise<ShelfIndex> {
  try {
    const index = JSON.parse(await readFile(join(dir, SHELF_INDEX), 'utf8')) as ShelfIndex
    const { v, images, layers } = index
    const digests = [...images.map(({ id }) => id), ...layers.map(({ diffId }) => diffId)]
    if (v === 1 && digests.every(isDigest)) return index
  } catch {
    // None yet, or one that was not ours.
  }
  return { v: 1, images: [], layers: [] }
}

export function writeIndex(dir: string, index: ShelfIndex): Promise<void> {
  return writeDurably(join(dir, SHELF_INDEX), Buffer.from(JSON.stringify(index)))
}

/** Written beside and renamed: under its name there is the old one or the new one, also after a crash. */
export async function writeDurably(path: string, bytes: Uint8Array): Promise<void> {
  const temporary = join(dirname(path), `tmp-${randomBytes(9).toString('hex')}`)
  try {
    const handle = await open(temporary, 'wx', 0o600)
    try {
      await handle.writeFile(bytes)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
  await syncDirectory(dirname(path))
}

async function syncDirectory(path: string): Promise<void> {
  // Windows does not open directories, and does not need to.
  const directory = await open(path, 'r').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'EISDIR' || error.code === 'EPERM') return undefined
    throw error
  })
  await directory?.sync().finally(() => directory.close())
}

function isDigest(text: unknown): boolean {
  return typeof text === 'string' && /^sha256:[0-9a-f]{64}$/.test(text)
}
