import type { Connection, ConnectionGater, PeerStore } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { ManyhandsError } from '../../errors.ts'
import { peerOfAddress } from '../address.ts'
import { peerIdOf } from '../peer-id.ts'
import { isWebRtc } from './connection-rank.ts'

/** By which peers agree on a WebRTC connection (libp2p specification). */
const SIGNALLING = '/webrtc-signaling/0.0.1'

/** What of a node's parts is used here, beyond what libp2p shows. */
export interface NodeParts {
  connectionGater: ConnectionGater
  peerStore: PeerStore
  transportManager: {
    dial(address: Multiaddr, options: { signal: AbortSignal }): Promise<Connection>
    dialTransportForMultiaddr(address: Multiaddr): unknown
  }
  addressManager: {
    addObservedAddr(address: Multiaddr): void
    confirmObservedAddr(address: Multiaddr): void
    removeObservedAddr(address: Multiaddr): void
  }
}

/** A service of the node that stands among its parts. */
export class NodeInside {
  readonly #parts: NodeParts

  constructor(parts: NodeParts) {
    this.#parts = parts
  }

  /**
   * Makes a connection at one address, also when there is one to that peer. The node's own dials of one
   * peer are one after the other, so that an address that swallows packets holds the others up.
   */
  async dial(address: Multiaddr, signal: AbortSignal): Promise<Connection> {
    const { connectionGater, peerStore, transportManager } = this.#parts
    const peer = peerOfAddress(address)
    const denied =
      (peer !== undefined && (await connectionGater.denyDialPeer?.(peerIdOf(peer))) === true) ||
      // By WebRTC nobody is called there: the two are connected over that relay.
      (!isWebRtc(address) && (await connectionGater.denyDialMultiaddr?.(address)) === true)
    if (denied) throw new ManyhandsError('CONNECT_FAILED', `${peer} is blocked here`)
    const connection = await transportManager.dial(address, { signal })
    if (!isWebRtc(address)) {
      await peerStore.merge(connection.remotePeer, { multiaddrs: [connection.remoteAddr] })
    }
    return connection
  }

  /**
   * Has a peer that is connected over a relay meet us by WebRTC: the two agree over that connection.
   * Undefined when one of both does not have it.
   */
  async meet(relayed: Connection, signal: AbortSignal): Promise<Connection | undefined> {
    const { peerStore, transportManager } = this.#parts
    const peer = relayed.remotePeer
    const address = relayed.remoteAddr
      .decapsulate('/p2p-circuit')
      .encapsulate(`/p2p-circuit/webrtc/p2p/${peer}`)
    if (transportManager.dialTransportForMultiaddr(address) == null) return undefined
    const { protocols } = await peerStore.get(peer)
    return protocols.includes(SIGNALLING) ? this.dial(address, signal) : undefined
  }

  /** An address of ours works, which nothing here listens on: a router's, mostly. */
  confirm(address: Multiaddr): void {
    this.#parts.addressManager.addObservedAddr(address)
    this.#parts.addressManager.confirmObservedAddr(address)
  }

  /** …and does not any more. */
  withdraw(address: Multiaddr): void {
    this.#parts.addressManager.removeObservedAddr(address)
  }
}
