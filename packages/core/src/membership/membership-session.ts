import type { ConnectionEncrypter, ConnectionProtector } from '@libp2p/interface'
import { ManyhandsError } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import type { Logger } from '../network/network.ts'
import type { RpcMethod } from '../wire/rpc-methods.ts'
import { derivedKey, Knock } from './knock.ts'
import type { LocalMembership } from './local-membership.ts'
import { covers, type MemberRole } from './member-role.ts'
import { answerFault, askFault, openFault } from './method-roles.ts'
import { isBound, type PeerBinding } from './peer-binding.ts'
import { ProofEncrypter } from './proof-encrypter.ts'
import { ProofExchange } from './proof-exchange.ts'
import { standingFault } from './refusal.ts'
import { RefusalMemory } from './refusal-memory.ts'
import { type RosterNetwork, RosterSync } from './roster-sync.ts'
import type { Signed } from './signed-document.ts'

/** How long who is no member any more stays connected, to hear of it and of its work, ms. */
const FAREWELL_MS = 1000
/** How often what other processes of this computer have written is looked for, ms. */
const REFRESH_MS = 1000

/** What happens to a network by what becomes of members. */
export interface SessionNetwork extends RosterNetwork {
  isConnected(peer: string): boolean
  /** A peer is no member's any more. */
  expelled(peer: string, reason: string): void
  /** This computer is no member any more. */
  ended(error: ManyhandsError): void
  /** Cuts the connections of a peer. */
  cut(peer: string): void
}

/** A membership as one peer shows it, and the peers that have shown theirs. */
export class MembershipSession {
  readonly membership: LocalMembership
  readonly binding: Signed<PeerBinding>
  readonly #refusals = new RefusalMemory()
  readonly #exchange: ProofExchange
  /** Members by their peers that have proven it, the latest ones last. */
  readonly #proven = new Map<string, string>()
  /** Members by peers whose offers were believed. */
  readonly #believed = new Map<string, string>()
  /** Those that were told of already. */
  readonly #expelled = new Map<string, string>()
  #network: SessionNetwork | undefined
  #sync: RosterSync | undefined
  #timers = new Set<NodeJS.Timeout>()
  #ended = false
  readonly #onChange = (): void => this.#changed()

  constructor(membership: LocalMembership, peerId: string) {
    this.membership = membership
    this.binding = membership.bind(peerId)
    this.#exchange = new ProofExchange({ membership, binding: this.binding })
  }

  /** By which members find each other on a LAN, and others do not see that they belong together. */
  get mdnsTag(): string {
    const tag = Buffer.from(derivedKey(this.membership.secret, 'mdns', 10)).toString('hex')
    return `mh-${tag}.local`
  }

  protector(): ConnectionProtector {
    return new Knock(this.membership.secret, this.membership.name)
  }

  /** Makes the connections of an encrypter those of members alone. */
  proving<Components>(
    create: (components: Components) => ConnectionEncrypter,
  ): (components: Components) => ConnectionEncrypter {
    return (components) =>
      new ProofEncrypter(create(components), {
        exchange: this.#exchange,
        proven: (peer, member) => this.#prove(peer, member),
        remember: (error) => this.#refusals.keep(error),
      })
  }

  /** Why a dial failed, when it was refused. */
  refusalOf(thrown: unknown): ManyhandsError | undefined {
    return this.#refusals.of(thrown)
  }

  /** Why somebody did not let us in, the last time. */
  readonly lastRefusal = (): ManyhandsError | undefined => this.#refusals.last

  /** Whether a peer has shown that it is a member's, who still is one. */
  admits(peer: string): boolean {
    return this.roleOf(peer) !== undefined
  }

  roleOf(peer: string): MemberRole | undefined {
    const member = this.#proven.get(peer)
    if (member === undefined || this.#ended) return undefined
    const standing = this.membership.standing(member)
    return standing.state === 'member' ? standing.role : undefined
  }

  /** Why a peer may not ask us something; undefined when it may. */
  askFault(peer: string, method: RpcMethod): ManyhandsError | undefined {
    const role = this.roleOf(peer)
    return role === undefined ? this.#outsider(peer) : askFault(role, method)
  }

  /** Why a peer is not asked something. */
  answerFault(peer: string, method: RpcMethod): ManyhandsError | undefined {
    // Who was a member until now hears why.
    if (method === 'roster.put' && this.#proven.has(peer)) return undefined
    const role = this.roleOf(peer)
    return role === undefined ? this.#outsider(peer) : answerFault(role, method)
  }

  openFault(peer: string, protocol: string): ManyhandsError | undefined {
    const role = this.roleOf(peer)
    return role === undefined ? this.#outsider(peer) : openFault(role, protocol)
  }

  /** Whether an offer of a peer can be believed: it is of a member that may lend. */
  believes(peer: string, binding: Signed<PeerBinding> | undefined): boolean {
    if (binding === undefined) return false
    const { member } = binding
    if (this.#believed.get(peer) !== member) {
      if (!isBound(binding, this.membership.network, peer)) return false
      remember(this.#believed, peer, member, LIMITS.offers)
    }
    const standing = this.membership.standing(member)
    return standing.state === 'member' && covers(standing.role, 'host')
  }

  start(network: SessionNetwork, logger?: Logger): void {
    this.#network = network
    this.#sync = new RosterSync(this.membership, network, logger)
    this.membership.addEventListener('change', this.#onChange)
    const timer = setInterval(() => {
      this.membership.refresh().catch((error) => {
        logger?.warn('the roster could not be read', { error })
      })
    }, REFRESH_MS).unref()
    this.#timers.add(timer)
  }

  /** A peer is connected; it has proven itself before. */
  met(peer: string, address: string | undefined): void {
    if (address !== undefined) this.membership.met.at(address)
    this.#expelled.delete(peer)
    this.#sync?.met(peer)
    // It may have been revoked in the very moment.
    this.#changed()
  }

  /** Compares with all members that are connected. @returns those that have answered */
  async compareAll(): Promise<string[]> {
    const peers = this.#network?.peers() ?? []
    const compared = await Promise.allSettled(
      peers.map(async (peer) => {
        await this.#sync?.compare(peer)
        await this.#sync?.learnPeers(peer)
        return peer
      }),
    )
    return compared.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
  }

  async close(): Promise<void> {
    this.membership.removeEventListener('change', this.#onChange)
    this.#sync?.close()
    for (const timer of this.#timers) clearTimeout(timer)
    await this.membership.settle()
  }

  #prove(peer: string, member: string): void {
    remember(this.#proven, peer, member, 4 * LIMITS.connections)
  }

  #changed(): void {
    const network = this.#network
    if (network === undefined) return
    for (const [peer, member] of [...this.#proven, ...this.#believed]) {
      if (this.#ended || this.#expelled.get(peer) === member) continue
      const fault = standingFault(this.membership.standing(member), this.membership.network)
      if (fault === undefined) continue
      remember(this.#expelled, peer, member, LIMITS.offers)
      network.expelled(peer, fault.message)
      this.#after(FAREWELL_MS, () => {
        if (network.isConnected(peer) && !this.admits(peer)) network.cut(peer)
      })
    }
    const { state } = this.membership
    if (this.#ended || state === 'joining' || state === 'member') return
    this.#ended = true
    const fault = standingFault(
      this.membership.standing(this.membership.member),
      this.membership.network,
    )!
    network.ended(fault)
    this.#after(FAREWELL_MS, () => {
      for (const peer of network.peers()) network.cut(peer)
    })
  }

  #after(ms: number, work: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      work()
    }, ms).unref()
    this.#timers.add(timer)
  }

  #outsider(peer: string): ManyhandsError {
    if (this.#ended) {
      return new ManyhandsError('NOT_A_MEMBER', this.membership.reason ?? 'no member any more')
    }
    const member = this.#proven.get(peer)
    const fault =
      member === undefined
        ? undefined
        : standingFault(this.membership.standing(member), this.membership.network)
    return fault ?? new ManyhandsError('NOT_A_MEMBER', `peer ${peer} has not shown a membership`)
  }
}

/** A map that keeps what came last. */
function remember(map: Map<string, string>, key: string, value: string, most: number): void {
  map.delete(key)
  map.set(key, value)
  const [oldest] = map.keys()
  if (map.size > most) map.delete(oldest as string)
}
