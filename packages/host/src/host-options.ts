import { ManyhandsError, parseByteSize, parseDuration } from '@manyhands/core'
import type { HostOptions } from './host.ts'

const HOST_KEYS = [
  'runtimes',
  'share',
  'policy',
  'network',
  'state',
  'labels',
  'orphanTime',
  'holdResults',
  'logger',
]
const SHARE_KEYS = ['cpus', 'memory', 'disk', 'gpus', 'pids']
const POLICY_KEYS = ['clients', 'images', 'networkProfiles', 'maxRuntime', 'maxAttempts', 'admit']
const NETWORK_KEYS = ['listen', 'bootstrap', 'mdns', 'gossip']

/** A rule that is written but not understood must not be taken for one that is obeyed. */
function refuseUnknown(prefix: string, value: object | undefined, known: string[]): void {
  const unknown = Object.keys(value ?? {}).find((key) => !known.includes(key))
  if (unknown === undefined) return
  throw new ManyhandsError(
    'CONFIG_INVALID',
    `${prefix}${unknown}: unknown setting; expected one of ${known.join(', ')}`,
    { details: { field: `${prefix}${unknown}` } },
  )
}

/**
 * Checks what the owner wrote before anything starts.
 *
 * @throws CONFIG_INVALID naming the setting, what was expected and what came
 */
export function checkHostOptions(options: HostOptions): void {
  const fail = (field: string, expected: string, got: unknown): never => {
    throw new ManyhandsError(
      'CONFIG_INVALID',
      `${field}: expected ${expected}, got ${JSON.stringify(got) ?? String(got)}`,
      { details: { field } },
    )
  }
  if (!Array.isArray(options.runtimes) || options.runtimes.length === 0) {
    fail('runtimes', 'at least one runtime, such as [docker(), wasm()]', options.runtimes)
  }
  refuseUnknown('', options, HOST_KEYS)
  refuseUnknown('share.', options.share, SHARE_KEYS)
  refuseUnknown('policy.', options.policy, POLICY_KEYS)
  refuseUnknown('network.', options.network, NETWORK_KEYS)
  const names = options.runtimes.map((runtime) => runtime.name)
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) fail('runtimes', 'each runtime once', twice)
  const { share = {}, policy = {} } = options
  const positive = (field: string, value: number | undefined, integer: boolean) => {
    if (value === undefined) return
    if (!Number.isFinite(value) || value <= 0 || (integer && !Number.isInteger(value))) {
      fail(field, `a positive ${integer ? 'integer' : 'number'}`, value)
    }
  }
  positive('share.cpus', share.cpus, false)
  if (share.gpus !== undefined && share.gpus !== 'all' && !Array.isArray(share.gpus)) {
    if (!Number.isInteger(share.gpus) || share.gpus < 0)
      fail('share.gpus', "a count, ids or 'all'", share.gpus)
  }
  positive('share.pids', share.pids, true)
  positive('policy.maxAttempts', policy.maxAttempts, true)
  const parsed = (work: () => unknown) => {
    try {
      work()
    } catch (cause) {
      throw new ManyhandsError('CONFIG_INVALID', (cause as Error).message, { cause })
    }
  }
  parsed(() => parseByteSize(share.memory ?? 0, 'share.memory'))
  parsed(() => parseByteSize(share.disk ?? 0, 'share.disk'))
  parsed(() => parseDuration(policy.maxRuntime ?? 0, 'policy.maxRuntime'))
  parsed(() => parseDuration(options.orphanTime ?? 0, 'orphanTime'))
  parsed(() => parseDuration(options.holdResults ?? 0, 'holdResults'))
  if (policy.admit !== undefined && typeof policy.admit !== 'function') {
    fail('policy.admit', 'a function', policy.admit)
  }
}
