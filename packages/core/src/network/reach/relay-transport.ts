import { circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import type { Connection, PeerId, Stream, Transport } from '@libp2p/interface'
import { ManyhandsError } from '../../errors.ts'
import { LIMITS } from '../../limits.ts'

/** Reservations that we hold at relays, as the library keeps them. */
export interface HeldReservations {
  /** Makes or renews one; renewed by itself from then on. */
  addRelay(relay: PeerId, type: 'configured'): Promise<unknown>
  hasReservation(relay: PeerId): boolean
  /** `addrs`: of the relay, encoded; `expire`: seconds since 1970. */
  getReservation(relay: PeerId): { addrs: Uint8Array[] } | undefined
  cancelReservations(): void
  addEventListener(type: 'relay:removed', listener: (event: RelayRemoved) => void): void
  removeEventListener(type: 'relay:removed', listener: (event: RelayRemoved) => void): void
}

export type RelayRemoved = CustomEvent<{ relay: PeerId }>

/** What of the transport's class is used below; not in its declared type. */
interface CircuitTransport extends Transport {
  onStop(stream: Stream, connection: Connection): Promise<void>
  reservationStore: HeldReservations & { relayFilter: unknown }
}

/** Remembers nobody: which relays are tried, and when again, is decided by us. */
const NO_FILTER = { has: () => false, add: () => {}, remove: () => {} }
/** Knows everybody: none is found by the library by itself. */
const ALL_KNOWN = { has: () => true, add: () => {}, remove: () => {} }

export interface RelayTransport {
  create: ReturnType<typeof circuitRelayTransport>
  /** Set when the node was made. */
  reservations: HeldReservations | undefined
}

/**
 * Connections over relays. Beside what the library does: nobody is let in over a relay at which we hold
 * no reservation (the library would begin to listen there, at the wish of the relay), and a relay that
 * failed once may be tried again.
 */
export function relayTransport(): RelayTransport {
  const streams = LIMITS.relayCircuitsPerPeer
  const create = circuitRelayTransport({
    discoveryFilter: ALL_KNOWN,
    reservationConcurrency: LIMITS.relaysPerPeer,
    reservationCompletionTimeout: LIMITS.dialTimeoutMs,
    maxInboundStopStreams: streams,
    maxOutboundStopStreams: streams,
  })
  const relays: RelayTransport = {
    reservations: undefined,
    create: (components) => {
      const transport = create(components) as CircuitTransport
      const { onStop, reservationStore } = transport
      reservationStore.relayFilter = NO_FILTER
      relays.reservations = reservationStore
      transport.onStop = async (stream, connection) => {
        if (reservationStore.hasReservation(connection.remotePeer)) {
          await onStop(stream, connection)
          return
        }
        stream.abort(new ManyhandsError('PROTOCOL', 'no reservation is held at this relay'))
      }
      return transport
    },
  }
  return relays
}
