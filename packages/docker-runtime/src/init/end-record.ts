import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'

/** The first process writes 96 bytes; a file that is longer was not written by it. */
const RECORD_MAX_BYTES = 128

/**
 * What the first process of a container wrote down about it. The task has the same user and can write
 * this file too, so it is believed only where it agrees with what the engine tells, and for nothing but
 * the task's own fate.
 */
export type EndRecord =
  | { state: 'started' }
  | { state: 'cannot-start'; error: number; ranMs: number }
  | { state: 'exited'; code: number; ranMs: number }
  | { state: 'exited'; signal: number; ranMs: number }
  | { state: 'max-runtime'; ranMs: number }

/** Undefined when nothing, or nothing valid, was recorded. Synchronous: it reads 96 bytes. */
export function readEndRecord(path: string): EndRecord | undefined {
  let file: number | undefined
  try {
    file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    if (!fstatSync(file).isFile()) return undefined
    const bytes = Buffer.alloc(RECORD_MAX_BYTES)
    const length = readSync(file, bytes, 0, RECORD_MAX_BYTES, 0)
    return parseEndRecord(bytes.toString('latin1', 0, length))
  } catch {
    return undefined
  } finally {
    if (file !== undefined) closeSync(file)
  }
}

export function parseEndRecord(text: string): EndRecord | undefined {
  let found: Record<string, unknown>
  try {
    found = JSON.parse(text)
  } catch {
    return undefined
  }
  if (found === null || typeof found !== 'object' || found['v'] !== 1) return undefined
  const { state, code, signal, error, ms: ranMs } = found
  if (!isCount(ranMs)) return undefined
  if (state === 'started') return { state }
  if (state === 'max-runtime') return { state, ranMs }
  if (state === 'cannot-start' && isCount(error)) return { state, error, ranMs }
  if (state === 'exited' && isCount(code)) return { state, code, ranMs }
  if (state === 'exited' && isCount(signal)) return { state, signal, ranMs }
  return undefined
}

/** Whether the engine's exit code is the one that the first process ends with after such a record. */
export function agrees(record: EndRecord, exitCode: number): boolean {
  if (record.state === 'started') return false
  if (record.state === 'max-runtime') return exitCode === 137
  if (record.state === 'cannot-start') return exitCode === 126 || exitCode === 127
  return exitCode === ('code' in record ? record.code : 128 + record.signal)
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}
