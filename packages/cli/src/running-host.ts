import { type ControlClient, createControlClient, readControlFile } from '@manyhands/control/client'
import { ManyhandsError } from '@manyhands/core'
import type { CommandContext } from './command-context.ts'
import { controlFilePath, hostStateDirectory } from './state-home.ts'

/**
 * The host that runs with a state directory.
 *
 * @throws CONNECT_FAILED when none was started there
 */
export async function runningHost(
  context: Pick<CommandContext, 'env' | 'cwd'>,
  options: { state?: string },
): Promise<ControlClient> {
  const directory = hostStateDirectory(context.env, context.cwd, options.state)
  const document = await readControlFile(controlFilePath(directory))
  if (document === undefined) {
    throw new ManyhandsError('CONNECT_FAILED', `no host runs with the state in ${directory}`, {
      hint: 'Start one with `manyhands host`, or name its --state directory.',
    })
  }
  return createControlClient(document)
}

/**
 * Addresses of the host of this computer; empty when none runs.
 *
 * @param network - the private network that it has to lend in; undefined: the public one
 */
export async function localHostAddresses(
  context: Pick<CommandContext, 'env' | 'cwd'>,
  signal: AbortSignal,
  network?: string,
): Promise<string[]> {
  try {
    const directory = hostStateDirectory(context.env, context.cwd)
    if ((await readControlFile(controlFilePath(directory)))?.network !== network) return []
    const control = await runningHost(context, {})
    return (await control.offer({ signal })).addresses
  } catch (error) {
    if (signal.aborted) throw error
    return []
  }
}
