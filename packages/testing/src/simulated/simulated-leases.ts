import type { Clock, Offer } from '@manyhands/core'
import type { SimulatedAttempt } from './simulated-attempt.ts'
import { SimulatedLease } from './simulated-lease.ts'
import type { SimulatedPeer } from './simulated-peer.ts'

export interface SimulatedLeasesParts {
  clock: Clock
  peer: SimulatedPeer
  offer(): Offer
  live(client: string): SimulatedAttempt[]
  unwanted(client: string, ids: string[]): void
  orphaned(client: string): void
}

/** The leases of all clients at a simulated host; each begins with the first word of its client. */
export class SimulatedLeases {
  readonly #parts: SimulatedLeasesParts
  readonly #leases = new Map<string, SimulatedLease>()

  constructor(parts: SimulatedLeasesParts) {
    this.#parts = parts
  }

  of(client: string): SimulatedLease {
    const known = this.#leases.get(client)
    if (known !== undefined) return known
    const { clock, peer, offer, live, unwanted, orphaned } = this.#parts
    const lease = new SimulatedLease({
      clock,
      live: () => live(client),
      renew: async (ids, timeoutMs) => {
        const params = { ids, offer: offer() }
        return (await peer.call(client, 'lease.renew', params, { timeoutMs })).unwanted
      },
      unwanted: (ids) => unwanted(client, ids),
      orphaned: () => orphaned(client),
    })
    this.#leases.set(client, lease)
    return lease
  }
}
