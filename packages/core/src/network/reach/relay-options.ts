import { type ByteRate, parseByteRate } from '../../byte-rate.ts'
import { type ByteSize, parseByteSize } from '../../byte-size.ts'
import { type Duration, parseDuration } from '../../duration.ts'
import { ManyhandsError } from '../../errors.ts'
import { LIMITS } from '../../limits.ts'

/**
 * What the owner of a relay gives to peers that cannot be reached otherwise. A relay carries bytes that
 * it cannot read: the two peers prove to each other who they are, and encrypt from end to end.
 *
 * @example
 * await createNetwork({ listen: ['/ip4/0.0.0.0/tcp/4001'], relay: { bulk: true, rate: '10MiB/s' } })
 */
export interface RelayOptions {
  /**
   * Whether artifacts may go through it: inputs, images, outputs. Default false: then a circuit carries
   * {@link circuitBytes}, which is enough for requests and events.
   */
  bulk?: boolean
  /** Peers that may be reached over it at a time. Default `LIMITS.relayReservations`. */
  reservations?: number
  /** Circuits open at a time, in all. Default `LIMITS.relayCircuits`. */
  circuits?: number
  /** …of one peer, whichever end of them it is. Default `LIMITS.relayCircuitsPerPeer`. */
  circuitsPerPeer?: number
  /** What goes through it in all, both directions together. Default 8 MiB/s. */
  rate?: ByteRate
  /** How long a circuit lasts; its peers make another one then. Default 1 h. */
  circuitLife?: Duration
  /** What one circuit carries, both directions together, where bulk is not allowed. Default 16 MiB. */
  circuitBytes?: ByteSize
}

/** The same, checked. */
export interface RelayQuotas {
  bulk: boolean
  reservations: number
  circuits: number
  circuitsPerPeer: number
  /** Bytes per second. */
  rate: number
  circuitMs: number
  circuitBytes: number
}

const KEYS = [
  'bulk',
  'reservations',
  'circuits',
  'circuitsPerPeer',
  'rate',
  'circuitLife',
  'circuitBytes',
]

/** @throws CONFIG_INVALID, SPEC_INVALID naming the setting */
export function relayQuotas(relay: boolean | RelayOptions | undefined): RelayQuotas | undefined {
  if (relay === undefined || relay === false) return undefined
  const options = relay === true ? {} : relay
  const unknown = Object.keys(options).find((key) => !KEYS.includes(key))
  if (unknown !== undefined) {
    throw wrong(`relay.${unknown}`, `unknown setting; expected one of ${KEYS.join(', ')}`)
  }
  return {
    bulk: options.bulk ?? false,
    reservations: count('reservations', options.reservations, LIMITS.relayReservations),
    circuits: count('circuits', options.circuits, LIMITS.relayCircuits),
    circuitsPerPeer: count('circuitsPerPeer', options.circuitsPerPeer, LIMITS.relayCircuitsPerPeer),
    rate: atLeast(
      'rate',
      parseByteRate(options.rate ?? LIMITS.relayRateBytes, 'relay.rate'),
      LIMITS.transferRateBytes,
    ),
    circuitMs: atLeast(
      'circuitLife',
      parseDuration(options.circuitLife ?? LIMITS.relayCircuitMs, 'relay.circuitLife'),
      1000,
    ),
    circuitBytes: atLeast(
      'circuitBytes',
      parseByteSize(options.circuitBytes ?? LIMITS.relayCircuitBytes, 'relay.circuitBytes'),
      LIMITS.relayedArtifactBytes,
    ),
  }
}

function count(name: string, value: number | undefined, most: number): number {
  if (value === undefined) return most
  if (Number.isSafeInteger(value) && value >= 1) return value
  throw wrong(`relay.${name}`, `expected a whole number from 1 on, got ${JSON.stringify(value)}`)
}

function atLeast(name: string, value: number, least: number): number {
  if (value >= least) return value
  throw wrong(`relay.${name}`, `expected at least ${least}, got ${value}`)
}

const wrong = (field: string, what: string) =>
  new ManyhandsError('CONFIG_INVALID', `${field}: ${what}`, { details: { field } })
