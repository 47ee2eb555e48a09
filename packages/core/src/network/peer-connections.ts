import type { Connection, PeerId } from '@libp2p/interface'
import { peerOfAddress } from './address.ts'
import { directHost } from './bulk-route.ts'
import type { ClockSkews } from './clock-skews.ts'
import { ConnectionTraffic, type Traffic } from './connection-traffic.ts'
import type { Libp2pNode } from './libp2p-node.ts'
import { type PeerConnection, peerConnection } from './peer-connection.ts'
import { peerIdOf } from './peer-id.ts'
import { bestConnection } from './reach/connection-rank.ts'
import type { Reach } from './reach/reach.ts'

export interface PeerConnectionsOptions {
  node: Libp2pNode
  reach: Reach
  clocks: ClockSkews
  /** A peer is connected; where it was reached, when we have dialed it. */
  met(peer: string, address: string | undefined): void
  /** Tells an event of the network. */
  tell(type: string, detail: unknown): void
}

const NO_TRAFFIC: Traffic = { bytesIn: 0, bytesOut: 0, bytesInPerSecond: 0, bytesOutPerSecond: 0 }

/** Who is connected, and how. */
export class PeerConnections {
  readonly #node: Libp2pNode
  readonly #reach: Reach
  readonly #clocks: ClockSkews
  readonly #traffic = new ConnectionTraffic()

  constructor({ node, reach, clocks, met, tell }: PeerConnectionsOptions) {
    this.#node = node
    this.#reach = reach
    this.#clocks = clocks
    node.addEventListener('peer:connect', ({ detail }) => {
      met(detail.toString(), this.#dialedAddress(detail))
      tell('peer:connect', detail.toString())
    })
    node.addEventListener('peer:disconnect', ({ detail }) => {
      node.services.relay?.forget(detail.toString())
      clocks.forget(detail.toString())
      tell('peer:disconnect', detail.toString())
    })
    node.addEventListener('connection:open', ({ detail }) => {
      this.#traffic.watch(detail)
      reach.opened(detail)
      // Nothing has gone over it; a look now would begin its rates.
      tell('connection:open', this.#describe(detail, NO_TRAFFIC))
    })
    node.addEventListener('connection:close', ({ detail }) => {
      tell('connection:close', this.#describe(detail))
      this.#traffic.closed(detail)
    })
  }

  has(peer: string): boolean {
    return this.#of(peer).length > 0
  }

  peers(): string[] {
    return this.#node.getPeers().map((peer) => peer.toString())
  }

  all(): PeerConnection[] {
    const open = this.#node.getConnections().filter(({ status }) => status === 'open')
    return open.map((connection) => this.#describe(connection))
  }

  best(peer: string): Connection | undefined {
    return bestConnection(this.#of(peer))
  }

  /** IP addresses of a peer, without those of relays. */
  hosts(peer: string): string[] {
    return [...new Set(this.#of(peer).flatMap((one) => directHost(one) ?? []))]
  }

  /** Where all peers are, or one of them; undefined where a relay stands between. */
  allHosts(peer?: string): (string | undefined)[] {
    return (peer === undefined ? this.#node.getConnections() : this.#of(peer)).map(directHost)
  }

  /** Bytes over all connections since the start. */
  traffic(): Pick<Traffic, 'bytesIn' | 'bytesOut'> {
    return this.#traffic.sum(this.#node.getConnections())
  }

  async end(peer: string): Promise<void> {
    await this.#node.hangUp(peerIdOf(peer))
  }

  /** Cuts what there is without a word, also what runs through this peer as a relay. */
  cut(peer: string, reason: Error): void {
    for (const connection of this.#of(peer)) connection.abort(reason)
    this.#node.services.relay?.forget(peer)
  }

  #dialedAddress(peer: PeerId): string | undefined {
    const [dialed] = this.#node
      .getConnections(peer)
      .filter(({ direction }) => direction === 'outbound')
    if (dialed === undefined) return undefined
    const address = dialed.remoteAddr.toString()
    return peerOfAddress(dialed.remoteAddr) === undefined ? `${address}/p2p/${peer}` : address
  }

  #of(peer: string): Connection[] {
    return this.#node.getConnections(peerIdOf(peer))
  }

  #describe(connection: Connection, traffic = this.#traffic.of(connection)): PeerConnection {
    const clockAheadMs = this.#clocks.of(connection.remotePeer.toString())
    const reversed = this.#reach.isReversed(connection)
    return {
      ...peerConnection(connection, traffic, { reversed }),
      ...(clockAheadMs === undefined ? {} : { clockAheadMs }),
    }
  }
}
