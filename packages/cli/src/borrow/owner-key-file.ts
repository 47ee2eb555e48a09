import { randomBytes } from 'node:crypto'
import { readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { LIMITS, ManyhandsError } from '@manyhands/core'

/** Writes an owner key where only this user can read it: who has it has the job. @throws USAGE */
export async function writeOwnerKeyFile(path: string, ownerKey: string): Promise<void> {
  const aside = `${path}.${randomBytes(4).toString('hex')}.part`
  try {
    await writeFile(aside, `${ownerKey}\n`, { mode: 0o600, flag: 'wx' })
    await rename(aside, path)
  } catch (cause) {
    await rm(aside, { force: true })
    throw new ManyhandsError('USAGE', `--owner-key ${path}: ${(cause as Error).message}`, { cause })
  }
}

/** An owner key from a file, or the key itself. @throws USAGE */
export async function readOwnerKeyFile(cwd: string, given: string): Promise<string> {
  if (given.startsWith('mhjob1.')) return given
  const path = resolve(cwd, given)
  try {
    const { size } = await stat(path)
    if (size > LIMITS.ownerKeyBytes + 1) throw new RangeError(`it has ${size} bytes`)
    return await readFile(path, 'utf8')
  } catch (cause) {
    throw new ManyhandsError('USAGE', `--attach ${path}: ${(cause as Error).message}`, { cause })
  }
}
