import type { Clock, Network } from '@manyhands/core'
import type { HostDirectory } from './host-directory.ts'
import { HostExperience } from './host-experience.ts'
import type { ClientJournal } from './journal/client-journal.ts'
import type { HostOrigin } from './verify/independence.ts'

/** How long what was seen of a host is not looked at again, ms. */
const FRESH_MS = 1_000
/** Hosts that are remembered. */
const REMEMBERED = 10_000

export interface HostOriginsParts {
  network: Pick<Network, 'remoteAddresses'>
  directory: Pick<HostDirectory, 'record'>
  journal: Pick<ClientJournal, 'hosts'>
  clock: Clock
}

/**
 * Where hosts are, as this client has seen it: also earlier, since one that moves stays its old neighbours'
 * neighbour, and one that is gone is remembered.
 */
export class HostOrigins {
  readonly #parts: HostOriginsParts
  readonly #known = new Map<string, { origin: HostOrigin; at: number }>()

  constructor(parts: HostOriginsParts) {
    this.#parts = parts
  }

  of(peer: string): HostOrigin {
    const { network, directory, journal, clock } = this.#parts
    const known = this.#known.get(peer)
    const at = clock.now()
    if (known !== undefined && at - known.at < FRESH_MS) return known.origin
    const { experience } = directory.record(peer) ?? {
      experience: new HostExperience(journal.hosts.get(peer)?.experience),
    }
    experience.seenAt(network.remoteAddresses(peer))
    const { addresses } = experience
    const same = known?.origin.addresses.join() === addresses.join()
    const origin = same ? known!.origin : { peer, addresses }
    if (this.#known.size >= REMEMBERED) this.#known.clear()
    this.#known.set(peer, { origin, at })
    return origin
  }
}
