import type { BigIntStats } from 'node:fs'
import { constants, type FileHandle, open } from 'node:fs/promises'
import { type ErrorCode, ManyhandsError, toManyhandsError } from '../errors.ts'

// Windows has neither flag; there the identity check alone has to do.
const FLAGS = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0)

/**
 * Opens the very file that `seen` (an lstat) described. A name can be swapped between the two calls:
 * a link is not followed, a pipe does not block, and another file is refused.
 *
 * @throws `code` when it is no longer that regular file
 */
export async function openRegular(
  path: string,
  seen: Pick<BigIntStats, 'dev' | 'ino'>,
  code: ErrorCode,
): Promise<FileHandle> {
  let handle: FileHandle
  try {
    handle = await open(path, FLAGS)
  } catch (error) {
    const { code: errno } = error as NodeJS.ErrnoException
    if (errno === 'ENOSPC' || errno === 'EMFILE' || errno === 'ENFILE')
      throw toManyhandsError(error)
    throw new ManyhandsError(code, `${path}: cannot be opened as a plain file (${errno})`, {
      cause: error,
    })
  }
  try {
    const found = await handle.stat({ bigint: true })
    if (!found.isFile() || found.dev !== seen.dev || found.ino !== seen.ino) {
      throw new ManyhandsError(code, `${path}: was replaced while it was read`)
    }
    return handle
  } catch (error) {
    await handle.close()
    throw error
  }
}
