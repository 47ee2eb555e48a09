import { readFileSync } from 'node:fs'
import { ManyhandsError, toManyhandsError } from '../errors.ts'

/** What kept a journal from being opened. */
export function openError(cause: unknown, path: string | undefined): ManyhandsError {
  const message = (cause as Error).message
  if (/locked|busy/i.test(message)) {
    let holder = 'another process'
    try {
      holder = `process ${readFileSync(`${path}.holder`, 'utf8').trim()}`
    } catch {
      // The holder is still starting; its number is a courtesy.
    }
    return new ManyhandsError('STATE_LOCKED', `${path} is in use by ${holder}`, { cause })
  }
  return new ManyhandsError('STATE_CORRUPT', `journal ${path} cannot be opened: ${message}`, {
    cause,
  })
}

/** SQLite's codes for an I/O error and for a full disk. */
const IO_ERROR = 10
const FULL = 13

/** What SQLite, or the disk, says of a write. */
export function journalError(cause: unknown): ManyhandsError {
  const code = (cause as { errcode?: number }).errcode
  const full = code !== undefined && [IO_ERROR, FULL].includes(code & 0xff)
  return toManyhandsError(cause, full ? 'DISK_FULL' : 'INTERNAL')
}
