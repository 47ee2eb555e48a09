import { type BigIntStats, closeSync, constants, fstatSync, openSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import type { ErrorCode } from '../error-table.ts'
import { ManyhandsError, toManyhandsError } from '../errors.ts'

// Windows has neither flag; there the identity check alone has to do.
const FLAGS = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0)

type Seen = Pick<BigIntStats, 'dev' | 'ino'>

/**
 * Opens the very file that `seen` (an lstat) described. A name can be swapped between the two calls:
 * a link is not followed, a pipe does not block, and another file is refused.
 *
 * @throws `code` when it is no longer that regular file
 */
export async function openRegular(path: string, seen: Seen, code: ErrorCode): Promise<FileHandle> {
  const handle = await open(path, FLAGS).catch((error) => {
    throw refusal(path, code, error)
  })
  try {
    assertSame(path, await handle.stat({ bigint: true }), seen, code)
    return handle
  } catch (error) {
    await handle.close()
    throw error
  }
}

/** The same, waiting on the thread. Returns a descriptor and what it looks like now. */
export function openRegularNow(
  path: string,
  seen: Seen,
  code: ErrorCode,
): { fd: number; now: BigIntStats } {
  const fd = openNow(path, code)
  try {
    const now = fstatSync(fd, { bigint: true })
    assertSame(path, now, seen, code)
    return { fd, now }
  } catch (error) {
    closeSync(fd)
    throw error
  }
}

function openNow(path: string, code: ErrorCode): number {
  try {
    return openSync(path, FLAGS)
  } catch (error) {
    throw refusal(path, code, error as NodeJS.ErrnoException)
  }
}

function refusal(path: string, code: ErrorCode, error: NodeJS.ErrnoException): ManyhandsError {
  const { code: errno } = error
  if (errno === 'ENOSPC' || errno === 'EMFILE' || errno === 'ENFILE') return toManyhandsError(error)
  return new ManyhandsError(code, `${path}: cannot be opened as a plain file (${errno})`, {
    cause: error,
  })
}

function assertSame(path: string, found: BigIntStats, seen: Seen, code: ErrorCode): void {
  if (found.isFile() && found.dev === seen.dev && found.ino === seen.ino) return
  throw new ManyhandsError(code, `${path}: was replaced while it was read`)
}
