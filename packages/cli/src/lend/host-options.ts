import { resolve } from 'node:path'
import { type Logger, ManyhandsError, parseByteSize, type Runtime } from '@manyhands/core'
import type { HostOptions, PolicyDocument } from '@manyhands/host'
import type { CommandContext } from '../command-context.ts'
import { hostStateDirectory } from '../state-home.ts'
import { readPolicyFile } from './policy-file.ts'

/** Options of `manyhands host` as they are parsed. */
export interface HostFlags {
  cpus?: number
  memory?: string
  disk?: string
  maxAttempts?: number
  runtime?: string[]
  listen?: string[]
  bootstrap?: string[]
  mdns?: boolean
  network?: string
  state?: string
  policy?: string
  name?: string
  label?: Record<string, string>
}

/**
 * What a host is created with: the policy file, and over it what the command line says.
 *
 * @throws CONFIG_INVALID, SPEC_INVALID naming the option
 */
export async function hostOptions(
  flags: HostFlags,
  runtimes: Runtime[],
  context: Pick<CommandContext, 'env' | 'cwd'>,
  logger: Logger,
): Promise<HostOptions & { state: string }> {
  if (flags.network !== undefined) {
    throw new ManyhandsError('CONFIG_INVALID', `--network ${flags.network}: not supported yet`, {
      hint: 'It comes with private networks; until then name clients in a --policy file.',
    })
  }
  const file: PolicyDocument =
    flags.policy === undefined ? {} : await readPolicyFile(resolve(context.cwd, flags.policy))
  const { share, policy, schedule, labels } = file
  return {
    runtimes,
    share: {
      ...share,
      ...(flags.cpus === undefined ? {} : { cpus: flags.cpus }),
      ...(flags.memory === undefined ? {} : { memory: parseByteSize(flags.memory, '--memory') }),
      ...(flags.disk === undefined ? {} : { disk: parseByteSize(flags.disk, '--disk') }),
    },
    policy: {
      ...policy,
      ...(flags.maxAttempts === undefined ? {} : { maxAttempts: flags.maxAttempts }),
    },
    schedule,
    network: { listen: flags.listen, bootstrap: flags.bootstrap, mdns: flags.mdns },
    state: hostStateDirectory(context.env, context.cwd, flags.state),
    labels: {
      ...labels,
      ...(flags.name === undefined ? {} : { name: flags.name }),
      ...flags.label,
    },
    logger,
  }
}
