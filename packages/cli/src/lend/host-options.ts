import { resolve } from 'node:path'
import {
  type Logger,
  ManyhandsError,
  parseByteSize,
  parseTransferCap,
  type Runtime,
} from '@manyhands/core'
import type { HostOptions, HostPolicy, PolicyDocument } from '@manyhands/host'
import type { CommandContext } from '../command-context.ts'
import { chosenNetwork } from '../networks/network-home.ts'
import { readPolicyFile } from '../policy/policy-file.ts'
import { hostStateDirectory } from '../state-home.ts'
import { webRtcBy } from '../stun-option.ts'

/** Options of `manyhands host` as they are parsed. */
export interface HostFlags {
  cpus?: number
  memory?: string
  disk?: string
  gpus?: number | 'all' | string[]
  maxAttempts?: number
  hours?: string
  onlyWhenIdle?: string
  notOnBattery?: boolean
  pauseWhile?: string[]
  uploadLimit?: string
  downloadLimit?: string
  runtime?: string[]
  isolation?: string
  diskQuota?: 'auto' | 'loop' | 'poll'
  cpuPinning?: boolean
  egressAllow?: string[]
  microvmKernel?: string
  microvmModules?: string
  listen?: string[]
  bootstrap?: string[]
  mdns?: boolean
  upnp?: boolean
  relay?: boolean
  relayBulk?: boolean
  useRelay?: string[]
  stun?: string[]
  tlsKey?: string
  tlsCert?: string
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
  const membership = await chosenNetwork(flags.network, context.env)
  const file = await policyFile(flags, context)
  return {
    runtimes,
    ...lentBy(flags, file),
    network: {
      listen: flags.listen,
      bootstrap: flags.bootstrap,
      mdns: flags.mdns,
      upnp: flags.upnp,
      relay: flags.relayBulk ? { bulk: true } : flags.relay,
      relays: flags.useRelay,
      transports: await webRtcBy(flags.stun),
      tls: certificateOf(flags, context),
      ...(membership === undefined ? {} : { membership }),
    },
    state: hostStateDirectory(context.env, context.cwd, flags.state),
    labels: {
      ...file.labels,
      ...(flags.name === undefined ? {} : { name: flags.name }),
      ...flags.label,
    },
    logger,
  }
}

/** @throws CONFIG_INVALID when only one of the two is named */
function certificateOf(
  { tlsKey: key, tlsCert: cert }: HostFlags,
  { cwd }: Pick<CommandContext, 'cwd'>,
): { key: string; cert: string } | undefined {
  if (key === undefined && cert === undefined) return undefined
  if (key !== undefined && cert !== undefined) {
    return { key: resolve(cwd, key), cert: resolve(cwd, cert) }
  }
  throw new ManyhandsError('CONFIG_INVALID', '--tls-key and --tls-cert go together')
}

/** The rules as the file has them now, under what the command line says. */
export async function hostPolicy(
  flags: HostFlags,
  context: Pick<CommandContext, 'cwd'>,
): Promise<Required<HostPolicy>> {
  return lentBy(flags, await policyFile(flags, context))
}

const policyFile = async (
  flags: HostFlags,
  context: Pick<CommandContext, 'cwd'>,
): Promise<PolicyDocument> =>
  flags.policy === undefined ? {} : readPolicyFile(resolve(context.cwd, flags.policy))

function lentBy(flags: HostFlags, file: PolicyDocument): Required<HostPolicy> {
  const { memory, disk } = flags
  return {
    share: {
      ...file.share,
      ...given({
        cpus: flags.cpus,
        memory: memory === undefined ? undefined : parseByteSize(memory, '--memory'),
        disk: disk === undefined ? undefined : parseByteSize(disk, '--disk'),
        gpus: flags.gpus,
      }),
    },
    policy: { ...file.policy, ...given({ maxAttempts: flags.maxAttempts }) },
    schedule: {
      ...file.schedule,
      ...given({
        hours: flags.hours,
        onlyWhenIdle: flags.onlyWhenIdle,
        notOnBattery: flags.notOnBattery,
        pauseWhile: flags.pauseWhile,
      }),
    },
    transfer: {
      ...file.transfer,
      ...given({
        upload: rate(flags.uploadLimit, '--upload-limit'),
        download: rate(flags.downloadLimit, '--download-limit'),
      }),
    },
  }
}

const rate = (text: string | undefined, option: string) =>
  text === undefined ? undefined : parseTransferCap(text, option)

const given = <Fields extends object>(fields: Fields) =>
  Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== undefined),
  ) as Partial<Fields>
