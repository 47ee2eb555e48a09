import { access, constants, statfs } from 'node:fs/promises'
import { dirname } from 'node:path'
import { formatByteSize } from '@manyhands/core'
import { type Examiner, fail, ok, warn } from './check.ts'

const ENOUGH_DISK = 10 * 1024 ** 3

/** Whether a host could keep its state where it would, and how much room there is. */
export const stateCheck: Examiner = async ({ stateDirectory }) => {
  const name = 'state directory'
  const existing = await nearestDirectory(stateDirectory)
  try {
    await access(existing, constants.W_OK)
    const { bavail, bsize } = await statfs(existing)
    const free = bavail * bsize
    const detail = `${stateDirectory}, ${formatByteSize(free)} free`
    if (free >= ENOUGH_DISK) return [ok(name, detail)]
    const todo = 'Free some space, or name a directory on another disk with --state.'
    return [warn(name, detail, todo)]
  } catch (error) {
    const todo = 'Name a directory that you may write to with --state.'
    return [fail(name, `${stateDirectory}: ${(error as Error).message}`, todo)]
  }
}

/** The directory itself, or the one in which it would be made. */
export async function nearestDirectory(path: string): Promise<string> {
  for (let directory = path; ; directory = dirname(directory)) {
    const exists = await access(directory).then(
      () => true,
      () => false,
    )
    if (exists || directory === dirname(directory)) return directory
  }
}
