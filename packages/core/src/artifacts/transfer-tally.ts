import type { PeerTransfer, TransferDirection } from './transfer-governor.ts'

/** Peers of which totals are kept: the most recently active ones. */
const PEERS = 1024

/** Bytes in all and by peer. A peer that was not active for longest is forgotten, its bytes stay in the sums. */
export class TransferTally {
  readonly #peers = new Map<string, PeerTransfer>()
  #sent: number
  #received: number

  constructor(before: { sent: number; received: number; peers: PeerTransfer[] } | undefined) {
    this.#sent = before?.sent ?? 0
    this.#received = before?.received ?? 0
    for (const peer of before?.peers.toReversed() ?? []) this.#peers.set(peer.peer, { ...peer })
  }

  add(direction: TransferDirection, peer: string, bytes: number): void {
    const entry = this.#peers.get(peer) ?? { peer, sent: 0, received: 0 }
    this.#peers.delete(peer)
    this.#peers.set(peer, entry)
    if (direction === 'up') {
      entry.sent += bytes
      this.#sent += bytes
    } else {
      entry.received += bytes
      this.#received += bytes
    }
    if (this.#peers.size <= PEERS) return
    const [oldest] = this.#peers.keys()
    this.#peers.delete(oldest!)
  }

  sums(): { sent: number; received: number } {
    return { sent: this.#sent, received: this.#received }
  }

  /** Most recently active first. */
  peers(): PeerTransfer[] {
    return [...this.#peers.values()].reverse().map((entry) => ({ ...entry }))
  }
}
