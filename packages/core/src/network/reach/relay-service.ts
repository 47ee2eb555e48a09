import {
  type CircuitRelayServerComponents,
  type CircuitRelayService,
  circuitRelayServer,
} from '@libp2p/circuit-relay-v2'
import type { Connection, Startable, Stream } from '@libp2p/interface'
import { TokenBucket } from '../../artifacts/token-bucket.ts'
import { ManyhandsError } from '../../errors.ts'
import { Circuit } from './circuit.ts'
import type { RelayLoad } from './reachability.ts'
import type { RelayQuotas } from './relay-options.ts'
import { RelayReservations } from './relay-reservations.ts'

/** The relay of a node. */
export interface RelayService extends Startable {
  load(): RelayLoad
  /** Ends what it does for a peer. */
  forget(peer: string): void
}

/** What of the library's class is used below; not in its declared type. */
interface Server extends CircuitRelayService, Startable {
  onHop(stream: Stream, connection: Connection): Promise<void>
  handleConnect(hop: Hop, options: object): Promise<void>
  stopHop(stop: { connection: Connection }, options: object): Promise<Stream | undefined>
  reservationStore: unknown
}

interface Hop {
  connection: Connection
  stream: { pb(codec: unknown): unknown; unwrap(): Stream }
}

/** Streams of one connection beside those of circuits: reservations and their renewals. */
const SPARE_STREAMS = 8

/** Thrown where the library would join two streams, and caught where it was called. */
const TAKEN_OVER = Symbol('joined here')

/**
 * The relay of circuit-relay-v2, with quotas of our own. The library speaks the protocol; reservations
 * and joined streams are taken over from it: it reads from one end of a circuit whether the other takes
 * it or not, and counts neither circuits nor rates. (Its time limit is in milliseconds here and in
 * seconds on the wire, so none is told.)
 */
export function relayService(
  quotas: RelayQuotas,
): (components: CircuitRelayServerComponents) => RelayService {
  return (components) => new QuotaRelay(quotas, components)
}

class QuotaRelay implements RelayService {
  readonly #quotas: RelayQuotas
  readonly #server: Server
  readonly #bucket: TokenBucket
  readonly #reservations: RelayReservations
  /** Circuits, those being made too, and the peers at their ends. */
  readonly #circuits = new Map<object, { peers: string[]; circuit?: Circuit }>()
  readonly #carried = { circuits: 0, refused: 0, bytes: 0 }

  constructor(quotas: RelayQuotas, components: CircuitRelayServerComponents) {
    this.#quotas = quotas
    this.#bucket = new TokenBucket(quotas.rate, performance.now())
    this.#reservations = new RelayReservations({
      most: quotas.reservations,
      limit: quotas.bulk ? undefined : { data: BigInt(quotas.circuitBytes) },
    })
    const server = circuitRelayServer({
      maxInboundHopStreams: quotas.circuitsPerPeer + SPARE_STREAMS,
      maxOutboundStopStreams: quotas.circuitsPerPeer + SPARE_STREAMS,
    })(components) as Server
    server.reservationStore = this.#reservations
    const { onHop } = Object.getPrototypeOf(server) as Server
    server.onHop = (stream, connection) => onHop.call(this.#scoped(connection), stream, connection)
    this.#server = server
  }

  start(): void | Promise<void> {
    return this.#server.start()
  }

  async stop(): Promise<void> {
    await this.#server.stop()
    const reason = new ManyhandsError('CLOSED', 'the relay was closed')
    for (const { circuit } of [...this.#circuits.values()]) circuit?.cut(reason)
  }

  load(): RelayLoad {
    return {
      bulk: this.#quotas.bulk,
      reservations: this.#reservations.size,
      circuits: this.#circuits.size,
      carried: { ...this.#carried },
    }
  }

  forget(peer: string): void {
    this.#reservations.forget(peer)
    const reason = new ManyhandsError('PEER_GONE', `peer ${peer} is gone`)
    for (const { peers, circuit } of [...this.#circuits.values()]) {
      if (peers.includes(peer)) circuit?.cut(reason)
    }
  }

  /** The server as one request sees it: what is joined for it is joined by us. */
  #scoped(connection: Connection): Server {
    const server = this.#server
    const token = {}
    let destination: Stream | undefined
    const scoped: Server = Object.create(server, {
      stopHop: {
        value: async (stop: { connection: Connection }, options: object) => {
          const ends = [connection, stop.connection]
          if (
            !this.#admit(
              token,
              ends.map(({ remotePeer }) => remotePeer.toString()),
            )
          ) {
            return undefined
          }
          destination = await server.stopHop(stop, options)
          return destination
        },
      },
      handleConnect: {
        value: async (hop: Hop, options: object) => {
          const stream = {
            pb: (codec: unknown) => hop.stream.pb(codec),
            unwrap: () => {
              this.#join(token, [hop.stream.unwrap(), destination as Stream])
              throw TAKEN_OVER
            },
          }
          try {
            await server.handleConnect.call(scoped, { ...hop, stream }, options)
            this.#circuits.delete(token)
          } catch (error) {
            if (error === TAKEN_OVER) return
            this.#circuits.delete(token)
            destination?.abort(error as Error)
            throw error
          }
        },
      },
    })
    return scoped
  }

  /** Takes the room of a circuit before anything is asked of its other end. */
  #admit(token: object, peers: string[]): boolean {
    const { circuits, circuitsPerPeer } = this.#quotas
    const of = (peer: string) =>
      this.#circuits.values().reduce((sum, each) => sum + (each.peers.includes(peer) ? 1 : 0), 0)
    if (this.#circuits.size >= circuits || peers.some((peer) => of(peer) >= circuitsPerPeer)) {
      this.#carried.refused += 1
      return false
    }
    this.#circuits.set(token, { peers })
    return true
  }

  #join(token: object, ends: [Stream, Stream]): void {
    const { bulk, circuitBytes, circuitMs } = this.#quotas
    this.#carried.circuits += 1
    const entry = this.#circuits.get(token)
    if (entry === undefined) throw new ManyhandsError('INTERNAL', 'a circuit without its room')
    entry.circuit = new Circuit(ends, {
      bytes: bulk ? undefined : circuitBytes,
      lifeMs: circuitMs,
      bucket: this.#bucket,
      onBytes: (bytes) => {
        this.#carried.bytes += bytes
      },
      onEnd: () => this.#circuits.delete(token),
    })
  }
}
