import { stat, statfs } from 'node:fs/promises'
import { dirname } from 'node:path'
import { ManyhandsError } from '@manyhands/core'

/** Whether something is mounted over a directory. */
export async function isMounted(directory: string): Promise<boolean> {
  const [inside, outside] = await Promise.all([stat(directory), stat(dirname(directory))])
  return inside.dev !== outside.dev
}

/**
 * Bytes in use in the volume that is mounted over a directory; infinite when it has no room for one
 * more file, whatever their sizes.
 *
 * @throws RUNTIME_FAILED when none is: the numbers would be those of the host's own disk
 */
export async function volumeUse(directory: string): Promise<number> {
  if (!(await isMounted(directory))) {
    throw new ManyhandsError('RUNTIME_FAILED', `no volume is mounted over ${directory}`)
  }
  const { bsize, blocks, bfree, ffree } = await statfs(directory)
  return ffree === 0 ? Number.POSITIVE_INFINITY : (blocks - bfree) * bsize
}
