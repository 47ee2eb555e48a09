import type { ConnectionGater } from '@libp2p/interface'

/** Who may be connected to us, and what may be heard of others: asked before anything is answered. */
export class PeerGate {
  readonly #blocked = new Set<string>()
  /** Whether a peer has shown that it belongs to the network, on this connection or another one. */
  readonly #admits: (peer: string) => boolean

  constructor(admits: (peer: string) => boolean = () => true) {
    this.#admits = admits
  }

  block(peer: string): void {
    this.#blocked.add(peer)
  }

  unblock(peer: string): void {
    this.#blocked.delete(peer)
  }

  /** Whether a peer is refused, whoever connects. */
  refuses(peer: string): boolean {
    return this.#blocked.has(peer)
  }

  /** The same for libp2p, at each of the places at which it asks. */
  gater(): ConnectionGater {
    const denies = (peer: { toString(): string }): boolean => this.refuses(peer.toString())
    // Also for transports that are encrypted by themselves, where nothing was shown yet.
    const outside = (peer: { toString(): string }): boolean => !this.#admits(peer.toString())
    return {
      denyDialPeer: denies,
      // Where nobody says this, libp2p dials no hosts of the local network from a browser.
      denyDialMultiaddr: () => false,
      denyInboundEncryptedConnection: denies,
      denyOutboundEncryptedConnection: denies,
      denyInboundUpgradedConnection: outside,
      denyOutboundUpgradedConnection: outside,
      // A relay is no door around a block, neither ours for others nor another one's to us.
      denyInboundRelayReservation: denies,
      denyOutboundRelayedConnection: (source, destination) => denies(source) || denies(destination),
      denyInboundRelayedConnection: (relay, peer) => denies(relay) || denies(peer),
    }
  }
}
