import { mkdir, readdir, readFile, rm, stat, statfs, writeFile } from 'node:fs/promises'
import { isAbsolute, join } from 'node:path'
import { ManyhandsError } from '@manyhands/core'
import { imageBytes, makeImage, mountImage, unmount } from './loop-volume.ts'
import { systemProgram } from './system-program.ts'
import { isMounted } from './volume-use.ts'

const RECORD = '.json'
const IMAGE = '.img'

/**
 * Volumes of attempts: each an image file, mounted over the attempt's output directory, with a record
 * that is written before anything else. A volume is known by its container's name.
 */
export interface VolumeStore {
  /**
   * Makes a volume and mounts it over a directory; files that were there go into it. False when it was
   * there already. On failure nothing is left.
   *
   * @throws RUNTIME_FAILED, also when the disk has no room for all that is promised
   */
  prepare(name: string, directory: string, diskBytes: number): Promise<boolean>
  /** Mounts a volume again that a restart of the computer has unmounted; false when there is none. */
  reattach(name: string): Promise<boolean>
  isMounted(name: string): Promise<boolean>
  /** Unmounts and deletes a volume; harmless when there is none. */
  discard(name: string): Promise<void>
  /** Names of all volumes, whoever made them. */
  names(): Promise<string[]>
}

interface VolumeRecord {
  v: 1
  directory: string
}

/** @param root - a directory of the runtime's own; made when the first volume is */
export function volumeStore(root: string): VolumeStore {
  const recordPath = (name: string) => join(root, name + RECORD)
  const imagePath = (name: string) => join(root, name + IMAGE)

  const store: VolumeStore = {
    async prepare(name, directory, diskBytes) {
      if (await store.reattach(name)) return false
      await mkdir(root, { recursive: true, mode: 0o700 })
      try {
        const record: VolumeRecord = { v: 1, directory }
        await writeFile(recordPath(name), JSON.stringify(record), { mode: 0o600 })
        await checkRoom(root, imageBytes(diskBytes))
        await makeImage(imagePath(name), diskBytes)
        await mountOver(imagePath(name), directory)
        return true
      } catch (error) {
        await store.discard(name).catch(() => {})
        throw error
      }
    },

    async reattach(name) {
      const record = await readRecord(recordPath(name))
      if (record === undefined) return false
      if (!(await store.isMounted(name))) {
        await mkdir(record.directory, { recursive: true })
        await mountImage(imagePath(name), record.directory)
      }
      return true
    },

    async isMounted(name) {
      const record = await readRecord(recordPath(name))
      return record !== undefined && (await isMounted(record.directory).catch(() => false))
    },

    async discard(name) {
      const record = await readRecord(recordPath(name))
      if (record !== undefined) await unmount(record.directory)
      await rm(imagePath(name), { force: true })
      // The record last: whoever is interrupted before is found again.
      await rm(recordPath(name), { force: true })
    },

    async names() {
      const files = await readdir(root).catch(() => [])
      return files
        .filter((file) => file.endsWith(RECORD))
        .map((file) => file.slice(0, -RECORD.length))
    },
  }
  return store
}

/** A volume hides what the directory holds, so that is moved into it first. */
async function mountOver(image: string, directory: string): Promise<void> {
  const before = await readdir(directory)
  if (before.length > 0) {
    const aside = `${image}.d`
    await mkdir(aside)
    try {
      await mountImage(image, aside)
      await systemProgram('cp', ['-a', `${directory}/.`, aside])
    } finally {
      await unmount(aside)
      await rm(aside, { recursive: true, force: true })
    }
    for (const name of before) await rm(join(directory, name), { recursive: true })
  }
  await mountImage(image, directory)
}

/**
 * Images are sparse: a disk that fills up later would turn into write errors of which the task never
 * hears. So there has to be room for all that was promised, before the first byte.
 */
async function checkRoom(root: string, neededBytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(root)
  let promised = 0
  for (const file of await readdir(root)) {
    if (!file.endsWith(IMAGE)) continue
    const found = await stat(join(root, file)).catch(() => undefined)
    if (found !== undefined) promised += Math.max(0, found.size - found.blocks * 512)
  }
  if (bavail * bsize - promised >= neededBytes) return
  throw new ManyhandsError(
    'RUNTIME_FAILED',
    `disk quota: the disk of ${root} has no room for ${neededBytes} bytes beside what was promised`,
    { hint: 'Lend less disk (share.disk), or free some.' },
  )
}

async function readRecord(path: string): Promise<VolumeRecord | undefined> {
  try {
    const { v, directory } = JSON.parse(await readFile(path, 'utf8')) as Partial<VolumeRecord>
    return v === 1 && typeof directory === 'string' && isAbsolute(directory)
      ? { v, directory }
      : undefined
  } catch {
    return undefined
  }
}
