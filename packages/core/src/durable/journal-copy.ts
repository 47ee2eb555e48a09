import { copyFile, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { ManyhandsError } from '../errors.ts'

const BUSY = 5

/**
 * Looks into a journal that no process has open, and changes nothing: what is opened is a copy, with what
 * a process that died had not yet moved from its log into the file.
 *
 * @param read - gets the path of the copy, which is gone afterwards
 * @throws STATE_LOCKED naming the process that has it open, and what `read` throws
 */
export async function readJournalCopy<Value>(
  path: string,
  read: (copy: string) => Promise<Value>,
): Promise<Value> {
  if (isLocked(path)) {
    const holder = await readFile(`${path}.holder`, 'utf8').catch(() => '')
    const who = holder.trim() === '' ? 'another process' : `process ${holder.trim()}`
    throw new ManyhandsError('STATE_LOCKED', `${path} is in use by ${who}`)
  }
  const dir = await mkdtemp(join(tmpdir(), 'manyhands-journal-'))
  try {
    const copy = join(dir, 'journal.db')
    await copyFile(path, copy)
    await copyFile(`${path}-wal`, `${copy}-wal`).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error
    })
    return await read(copy)
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

/**
 * A read that asks for the exclusive lock. Without the right to write it never gets it, so no file is made
 * or changed; what it fails with tells whether somebody has it.
 */
function isLocked(path: string): boolean {
  const database = new DatabaseSync(path, { readOnly: true })
  try {
    database.exec('PRAGMA locking_mode=EXCLUSIVE')
    database.prepare('SELECT count(*) FROM sqlite_schema').get()
    return false
  } catch (error) {
    return ((error as { errcode?: number }).errcode ?? 0) % 256 === BUSY
  } finally {
    database.close()
  }
}
