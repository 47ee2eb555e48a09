import type { PeerId } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { LIMITS } from '../../limits.ts'
import { directHost } from '../bulk-route.ts'

/** What the peers of a circuit are told of its limits. */
interface CircuitLimit {
  data: bigint
}

interface Reservation {
  /** Where the peer came from. */
  host: string | undefined
  limit: CircuitLimit | undefined
  /** On the monotonic clock. */
  expiresMs: number
}

export interface RelayReservationsOptions {
  most: number
  /** What is told of each circuit; undefined: that there is no limit. */
  limit: CircuitLimit | undefined
  now?: () => number
}

/**
 * Who may be reached over this relay: so many in all, and from one address. It stands where the
 * library has a store of its own, whose timers outlive what they were set for.
 */
export class RelayReservations {
  readonly #options: RelayReservationsOptions
  readonly #now: () => number
  readonly #reservations = new Map<string, Reservation>()

  constructor(options: RelayReservationsOptions) {
    this.#options = options
    this.#now = options.now ?? (() => performance.now())
  }

  get size(): number {
    this.#expire()
    return this.#reservations.size
  }

  /** Makes or renews one. The answer is what the library sends: a status, and seconds since 1970. */
  reserve(
    peer: PeerId,
    remoteAddr: Multiaddr,
  ): { status: 'OK'; expire: number } | { status: 'RESERVATION_REFUSED' } {
    this.#expire()
    const { most, limit } = this.#options
    const key = peer.toString()
    const host = directHost({ remoteAddr })
    if (!this.#reservations.has(key)) {
      const near = this.#reservations.values().filter((each) => each.host === host)
      const full =
        this.#reservations.size >= most ||
        near.reduce((sum) => sum + 1, 0) >= LIMITS.relayReservationsPerAddress
      if (full) return { status: 'RESERVATION_REFUSED' }
    }
    const lifeMs = LIMITS.relayReservationMs
    this.#reservations.delete(key)
    this.#reservations.set(key, { host, limit, expiresMs: this.#now() + lifeMs })
    return { status: 'OK', expire: Math.round((Date.now() + lifeMs) / 1000) }
  }

  get(peer: PeerId): { limit?: CircuitLimit } | undefined {
    this.#expire()
    return this.#reservations.get(peer.toString())
  }

  removeReservation(peer: PeerId): void {
    this.forget(peer.toString())
  }

  forget(peer: string): void {
    this.#reservations.delete(peer)
  }

  clear(): void {
    this.#reservations.clear()
  }

  /** The first one is the one that was renewed longest ago. */
  #expire(): void {
    for (const [peer, { expiresMs }] of this.#reservations) {
      if (expiresMs > this.#now()) return
      this.#reservations.delete(peer)
    }
  }
}
