import { ManyhandsError, parseDuration } from '@manyhands/core'
import type { HostOptions } from './host.ts'
import { checkPolicy } from './policy-document.ts'

const HOST_KEYS = [
  'runtimes',
  'share',
  'policy',
  'schedule',
  'transfer',
  'sensors',
  'network',
  'state',
  'labels',
  'orphanTime',
  'holdResults',
  'engineLost',
  'logger',
]
const NETWORK_KEYS = [
  'listen',
  'bootstrap',
  'mdns',
  'gossip',
  'upnp',
  'relay',
  'relays',
  'transports',
  'invite',
  'membership',
  'tls',
]
const SENSORS = ['idleMs', 'onBattery', 'programs', 'localTime'] as const

/** A setting that is written but not understood must not be taken for one that is obeyed. */
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
 * Checks what the owner wrote before anything starts. Share, policy, schedule and transfer have a schema of
 * their own, which files and live changes obey as well.
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
  refuseUnknown('network.', options.network, NETWORK_KEYS)
  const names = options.runtimes.map((runtime) => runtime.name)
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) fail('runtimes', 'each runtime once', twice)
  const { share, policy, schedule, transfer, sensors } = options
  checkPolicy({ share, policy, schedule, transfer })
  for (const name of SENSORS) {
    if (sensors !== undefined && typeof sensors[name] !== 'function') {
      fail(`sensors.${name}`, 'a function', sensors[name])
    }
  }
  const parsed = (work: () => unknown) => {
    try {
      work()
    } catch (cause) {
      throw new ManyhandsError('CONFIG_INVALID', (cause as Error).message, { cause })
    }
  }
  parsed(() => parseDuration(options.orphanTime ?? 0, 'orphanTime'))
  parsed(() => parseDuration(options.holdResults ?? 0, 'holdResults'))
  parsed(() => parseDuration(options.engineLost ?? 0, 'engineLost'))
}
