import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { ManyhandsError } from '@manyhands/core'

const run = promisify(execFile)
const TIMEOUT_MS = 30_000
/** The programs are the system's, whatever the owner's shell would find first. */
const PATH = '/usr/sbin:/usr/bin:/sbin:/bin'

/**
 * Runs a program of the system to its end.
 *
 * @throws RUNTIME_FAILED with what it said, when it is not there or fails
 */
export async function systemProgram(name: string, args: string[]): Promise<void> {
  try {
    await run(name, args, { env: { PATH, LC_ALL: 'C' }, timeout: TIMEOUT_MS })
  } catch (cause) {
    const { code, stderr } = cause as { code?: unknown; stderr?: string }
    const why = code === 'ENOENT' ? 'it is not installed' : stderr?.trim() || `${cause}`
    const message = `disk quota: ${name} failed: ${why.slice(0, 500)}`
    throw new ManyhandsError('RUNTIME_FAILED', message, { cause })
  }
}
