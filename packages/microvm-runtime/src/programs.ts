import { execFile } from 'node:child_process'
import { constants } from 'node:fs'
import { access } from 'node:fs/promises'
import { isAbsolute, join } from 'node:path'
import { promisify } from 'node:util'
import { ManyhandsError } from '@manyhands/core'

/** Looked through in this order: the caller's PATH is the environment's affair, not a library's. */
const DIRECTORIES = ['/usr/bin', '/usr/sbin', '/bin', '/sbin', '/usr/local/bin', '/usr/local/sbin']

/** All that a program we start finds in its environment. */
export const PROGRAM_ENVIRONMENT = { PATH: DIRECTORIES.join(':'), LC_ALL: 'C' }

const PACKAGES: Record<string, string> = {
  'mkfs.ext4': 'e2fsprogs',
  setpriv: 'util-linux',
  xz: 'xz-utils',
  'qemu-system-x86_64': 'qemu-system-x86',
}

/** @throws RUNTIME_UNAVAILABLE saying what to install */
export async function findProgram(name: string): Promise<string> {
  const paths = isAbsolute(name) ? [name] : DIRECTORIES.map((directory) => join(directory, name))
  for (const path of paths) {
    const found = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    )
    if (found) return path
  }
  const from = PACKAGES[name]
  throw new ManyhandsError('RUNTIME_UNAVAILABLE', `the program ${name} is missing`, {
    hint: from === undefined ? 'Check its path.' : `Install it: apt-get install ${from}`,
  })
}

/** Runs a helper to its end and answers what it printed. @throws RUNTIME_FAILED with its last words */
export async function runProgram(
  name: string,
  args: string[],
  options: { signal?: AbortSignal; maxBytes?: number } = {},
): Promise<Buffer> {
  const path = await findProgram(name)
  try {
    const { stdout } = await promisify(execFile)(path, args, {
      env: PROGRAM_ENVIRONMENT,
      encoding: 'buffer',
      maxBuffer: options.maxBytes ?? 64 * 1024,
      signal: options.signal,
      killSignal: 'SIGKILL',
    })
    return stdout
  } catch (error) {
    options.signal?.throwIfAborted()
    const { stderr, message } = error as { stderr?: Buffer; message: string }
    const said = stderr === undefined || stderr.length === 0 ? message : stderr.toString()
    throw new ManyhandsError('RUNTIME_FAILED', `${name}: ${said.trim().slice(-500)}`, {
      cause: error,
    })
  }
}
