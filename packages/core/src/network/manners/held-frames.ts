import { LIMITS } from '../../limits.ts'

/**
 * Counts the bytes of frames that have begun to come, or came and were not taken yet, of one peer and of
 * all: what makes somebody's memory ours to pay for.
 */
export class HeldFrames {
  readonly #ofPeer = new Map<string, number>()
  #all = 0

  /** Whether a peer holds more than an honest one ever does. */
  hoards(peer: string, bytes: number): boolean {
    return (this.#ofPeer.get(peer) ?? 0) + bytes > LIMITS.peerHeldBytes
  }

  /** Whether there is room for a frame of so many bytes; then they count until they are given back. */
  take(peer: string, bytes: number): boolean {
    const held = this.#ofPeer.get(peer) ?? 0
    // One frame is always let in: it is bounded by itself.
    const crowded = this.hoards(peer, bytes) || this.#all + bytes > LIMITS.heldBytes
    if (held > 0 && crowded) return false
    this.#ofPeer.set(peer, held + bytes)
    this.#all += bytes
    return true
  }

  give(peer: string, bytes: number): void {
    const left = (this.#ofPeer.get(peer) ?? 0) - bytes
    if (left <= 0) this.#ofPeer.delete(peer)
    else this.#ofPeer.set(peer, left)
    this.#all -= bytes
  }

  /** Bytes of all peers. */
  get bytes(): number {
    return this.#all
  }
}
