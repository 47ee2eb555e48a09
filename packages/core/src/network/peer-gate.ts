import type { ConnectionGater } from '@libp2p/interface'

/** Who may be connected to us, and what may be heard of others: asked before anything is answered. */
export class PeerGate {
  readonly #blocked = new Set<string>()

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
    return {
      denyDialPeer: denies,
      denyInboundEncryptedConnection: denies,
      denyOutboundEncryptedConnection: denies,
    }
  }
}
