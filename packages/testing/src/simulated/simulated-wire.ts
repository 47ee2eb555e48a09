import { type Clock, LIMITS, ManyhandsError, type Offer } from '@manyhands/core'
import { OneAtATime } from './one-at-a-time.ts'
import type { SeededRandom } from './seeded-random.ts'
import { type ConnectionEnd, SimulatedConnection } from './simulated-connection.ts'
import { wayMs } from './simulated-link.ts'
import type { VirtualClock } from './virtual-clock.ts'

/** Ways that it takes until a connection is there: the socket's handshake, and that of the keys. */
const DIAL_WAYS = 4

/** A peer, as the wire sees it. */
export interface WirePeer extends ConnectionEnd {
  readonly clock: Clock
  /** Whether its process runs, and whether it stands still. */
  readonly up: boolean
  readonly frozen: boolean
  readonly dialable: boolean
  /** Whether gossip reaches it. */
  readonly listens: boolean
  connectionTo(peer: string): SimulatedConnection | undefined
  connected(connection: SimulatedConnection): void
  heard(offer: Offer): void
}

/** What lies between all peers of a simulated network. */
export class SimulatedWire {
  readonly clock: VirtualClock
  readonly random: SeededRandom
  /** Share of requests and news that come twice. */
  readonly duplicates: number
  /** Files come one after the other, in an order that no disk decides. */
  readonly files = new OneAtATime()
  readonly #peers = new Map<string, WirePeer>()
  /** The latest offers, as gossip has them everywhere. */
  readonly #offers = new Map<string, Offer>()

  constructor(parts: { clock: VirtualClock; random: SeededRandom; duplicates: number }) {
    this.clock = parts.clock
    this.random = parts.random
    this.duplicates = parts.duplicates
  }

  add(peer: WirePeer): void {
    this.#peers.set(peer.peerId, peer)
  }

  remove(peer: WirePeer): void {
    this.#peers.delete(peer.peerId)
    this.#offers.delete(peer.peerId)
  }

  /**
   * @param how.beside - also when there is a connection
   * @throws CONNECT_FAILED; the signal's reason
   */
  async dial(
    from: WirePeer,
    to: string,
    { beside = false, signal }: { beside?: boolean; signal?: AbortSignal } = {},
  ): Promise<SimulatedConnection> {
    const { clock, random } = this
    const peer = this.#peers.get(to)
    const failed = (why: string) =>
      new ManyhandsError('CONNECT_FAILED', `cannot connect to ${to}: ${why}`)
    if (peer === undefined || peer === from) throw failed('no such peer')
    if (!peer.dialable) throw failed('it listens nowhere')
    const way = wayMs(from.link.conditions, peer.link.conditions, random)
    await from.clock.delay(DIAL_WAYS * way, { signal })
    if (from.cutOff || peer.cutOff || peer.frozen) {
      await from.clock.delay(LIMITS.dialTimeoutMs, { signal })
      throw failed('no answer')
    }
    if (!peer.up) throw failed('connection refused')
    if (!from.up) throw failed('this peer is closed')
    const known = from.connectionTo(to)
    if (known?.open && !beside) return known
    const connection = new SimulatedConnection([from, peer], { clock, random })
    peer.connected(connection)
    from.connected(connection)
    return connection
  }

  /** Gossip: everybody who can hear of an offer soon has. */
  publish(from: WirePeer, offer: Offer): void {
    this.#offers.set(from.peerId, offer)
    for (const peer of this.#peers.values()) {
      if (peer === from || !peer.listens) continue
      const way = 2 * wayMs(from.link.conditions, peer.link.conditions, this.random)
      this.clock.after(way, () => {
        if (from.cutOff || peer.cutOff) return
        peer.receive(() => peer.heard(offer))
      })
    }
  }

  withdraw(from: WirePeer): void {
    this.#offers.delete(from.peerId)
  }

  /** Offers of others. */
  offers(except: string): Offer[] {
    return [...this.#offers.values()].filter(({ peerId }) => peerId !== except)
  }
}
