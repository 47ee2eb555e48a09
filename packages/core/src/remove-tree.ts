import { type Dir, lstatSync, opendirSync, readdirSync, rmdirSync, unlinkSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { WalkPace } from './walk-pace.ts'

/** Of a core; nobody waits for the end of it. */
const DUTY = { first: 0.08, late: 0.2 }

/**
 * Removes a directory that a task may have filled with a million files, without a burst that its
 * neighbours would feel. Nothing may write there any more; harmless when there is none.
 */
export async function removeTree(root: string): Promise<void> {
  try {
    const found = lstatSync(root, { throwIfNoEntry: false })
    if (found === undefined) return
    // A link would be followed.
    if (found.isDirectory()) {
      await removeDirectory(Buffer.from(root), new WalkPace(DUTY))
      return
    }
  } catch {
    // Whatever is special about it: not there, too deep, not ours to list.
  }
  await rm(root, { recursive: true, force: true })
}

/**
 * Removes all that is in a directory and leaves the directory, which may be mounted somewhere. As
 * {@link removeTree}: nothing may write there meanwhile.
 */
export async function emptyTree(root: string): Promise<void> {
  if (readdirSync(root).length === 0) return
  try {
    await removeBelow(Buffer.from(root), new WalkPace(DUTY))
  } catch {
    for (const name of readdirSync(root)) {
      await rm(join(root, name), { recursive: true, force: true })
    }
  }
}

/** Names are bytes: a task may have written some that are no text. */
async function removeDirectory(path: Buffer, pace: WalkPace): Promise<void> {
  await removeBelow(path, pace)
  rmdirSync(path)
}

async function removeBelow(path: Buffer, pace: WalkPace): Promise<void> {
  const directory = opendirSync(path as never, { encoding: 'buffer' as never }) as Dir
  try {
    for (let entry = directory.readSync(); entry !== null; entry = directory.readSync()) {
      const below = Buffer.concat([path, SLASH, entry.name as unknown as Buffer])
      if (entry.isDirectory()) await removeDirectory(below, pace)
      else unlinkSync(below)
      const rest = pace.step()
      if (rest !== undefined) await rest
    }
  } finally {
    directory.closeSync()
  }
}

const SLASH = Buffer.from('/')
