import { resolve } from 'node:path'
import type { Host } from '@manyhands/host'
import type { CommandContext } from '../command-context.ts'
import { toError } from '../failure.ts'
import { watchPolicyFile } from '../policy/policy-reload.ts'
import { type HostFlags, hostPolicy } from './host-options.ts'

/**
 * Keeps a host at what its policy file says: the file is read again when it changed and at SIGHUP. A file
 * that is no policy changes nothing, and says why. A host without such a file is left alone.
 */
export async function keepPolicyInForce(
  host: Host,
  flags: HostFlags,
  context: CommandContext,
): Promise<Disposable> {
  const { output, interruption, cwd } = context
  if (flags.policy === undefined) return { [Symbol.dispose]() {} }
  const file = resolve(cwd, flags.policy)

  const reload = async () => {
    try {
      await host.setPolicy(await hostPolicy(flags, context))
      output.event('policy', { file, applied: true })
      if (output.format === 'text') output.say(`policy: ${flags.policy} is in force`)
    } catch (thrown) {
      const error = toError(thrown)
      output.event('policy', { file, applied: false, error: error.toJSON() })
      output.say(
        `${output.style('yellow', 'warning')} the policy stays as it was: ${error.message}`,
      )
    }
  }
  const watched = await watchPolicyFile(file, reload)
  if (!watched.watching) {
    output.say(`changes of ${flags.policy} are not noticed here; send SIGHUP after one`)
  }
  const forget = interruption.onHangup(() => void watched.now())
  return {
    [Symbol.dispose]() {
      forget()
      watched.close()
    },
  }
}
