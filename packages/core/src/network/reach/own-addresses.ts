import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { LIMITS } from '../../limits.ts'
import { REACH } from '../host-reach.ts'
import { addressReach, hostOf } from './address-judgement.ts'
import type { ReachableAddress } from './reachability.ts'

/** What peers found that tried an address of ours. */
export interface Opinion {
  reached: boolean
  why?: string
}

interface Known {
  address: Multiaddr
  /** Nothing here listens there: a router would have to pass on what comes. */
  mapped: boolean
  opinions: Map<string, Opinion>
}

/** The addresses at which this peer may be called, with what others found who tried. */
export class OwnAddresses {
  readonly #listened: () => Multiaddr[]
  readonly #peerId: string
  readonly #known = new Map<string, Known>()
  /** Public addresses at which others see us, which are not those of an interface. */
  readonly #seen = new Set<string>()

  /** @param listened - with the peer id at the end, none of a relay */
  constructor(peerId: string, listened: () => Multiaddr[]) {
    this.#peerId = peerId
    this.#listened = listened
  }

  /** All that may work: what is listened on, and the same ports at the address where others see us. */
  all(): Known[] {
    const listened = this.#listened()
    const hosts = new Set(listened.map(hostOf))
    const ports = new Set(listened.flatMap((address) => portOf(address) ?? []))
    const mapped = [...this.#seen]
      .filter((host) => !hosts.has(host))
      .flatMap((host) => {
        const family = host.includes(':') ? 'ip6' : 'ip4'
        return [...ports].map((port) =>
          multiaddr(`/${family}/${host}/tcp/${port}/p2p/${this.#peerId}`),
        )
      })
    const now = new Map<string, Known>()
    for (const address of [...listened, ...mapped]) {
      const text = address.toString()
      if (now.has(text)) continue
      const opinions = this.#known.get(text)?.opinions ?? new Map()
      now.set(text, { address, mapped: !listened.includes(address), opinions })
    }
    this.#known.clear()
    for (const [text, known] of now) this.#known.set(text, known)
    return [...now.values()]
  }

  /** Another peer sees us there. @returns whether that is news */
  seenAt(host: string): boolean {
    if (this.#seen.has(host) || this.#seen.size >= LIMITS.addressesPerPeer) return false
    this.#seen.add(host)
    return true
  }

  /** @returns whether what is known of the address has changed */
  judge(address: string, by: string, opinion: Opinion): boolean {
    const known = this.#known.get(address)
    if (known === undefined) return false
    const before = stateOf(known)
    known.opinions.delete(by)
    known.opinions.set(by, opinion)
    for (const oldest of known.opinions.keys()) {
      if (known.opinions.size <= LIMITS.addressesPerPeer) break
      known.opinions.delete(oldest)
    }
    return stateOf(known) !== before
  }

  /** Where it may be called: what is known to work first, what is known not to last. */
  callable(): Multiaddr[] {
    const order = { reachable: 0, unknown: 1, unreachable: 2 }
    return this.all()
      .filter((known) => !known.mapped || stateOf(known) === 'reachable')
      .sort((a, b) => order[stateOf(a)] - order[stateOf(b)])
      .map(({ address }) => address)
  }

  isUnreachable(address: Multiaddr): boolean {
    const known = this.#known.get(address.toString())
    return known !== undefined && stateOf(known) === 'unreachable'
  }

  /** Whether somebody reached it from everywhere. */
  get isPublic(): boolean {
    return this.all().some((known) => {
      return addressReach(known.address) === REACH.world && stateOf(known) === 'reachable'
    })
  }

  describe(): ReachableAddress[] {
    return this.all().map((known) => {
      const { address, mapped, opinions } = known
      const failed = [...opinions.values()].find(({ why }) => why !== undefined)
      const reach = addressReach(address)
      return {
        address: address.toString(),
        scope: reach === REACH.world ? 'public' : reach === REACH.computer ? 'computer' : 'local',
        state: stateOf(known),
        by: [...opinions.keys()],
        ...(failed === undefined || stateOf(known) !== 'unreachable' ? {} : { why: failed.why }),
        ...(mapped ? { mapped } : {}),
      }
    })
  }
}

/** One who came through is enough: who did not may have a trouble of its own. */
function stateOf({ opinions }: Known): ReachableAddress['state'] {
  if (opinions.size === 0) return 'unknown'
  return [...opinions.values()].some(({ reached }) => reached) ? 'reachable' : 'unreachable'
}

function portOf(address: Multiaddr): string | undefined {
  const [, port, ...more] = address.getComponents()
  return port?.name === 'tcp' && more.every(({ name }) => name === 'p2p') ? port.value : undefined
}
