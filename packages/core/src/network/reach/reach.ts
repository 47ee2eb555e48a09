import type { Connection } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { LIMITS } from '../../limits.ts'
import type { DialRules } from '../dial-rules.ts'
import { REACH } from '../host-reach.ts'
import type { Libp2pNode } from '../libp2p-node.ts'
import type { Logger, Network } from '../network.ts'
import type { PeerGate } from '../peer-gate.ts'
import { addressReach } from './address-judgement.ts'
import { Callbacks } from './callbacks.ts'
import { isRelayed } from './connection-rank.ts'
import { describeReach } from './describe-reach.ts'
import type { Attempt } from './dial-race.ts'
import { DirectUpgrade } from './direct-upgrade.ts'
import { OwnAddresses } from './own-addresses.ts'
import { ReachProbe } from './reach-probe.ts'
import type { Reachability } from './reachability.ts'
import { RelayKeeper } from './relay-keeper.ts'

export interface ReachOptions {
  node: Libp2pNode
  network: Network
  gate: PeerGate
  rules: DialRules
  /** Whether it listens for peers at all. */
  listens: boolean
  /** Addresses of relays that are to be used. */
  relays: readonly string[]
  dial(addresses: readonly Multiaddr[], signal: AbortSignal): Promise<Connection>
  requestsOn(connection: Connection): number
  logger: Logger | undefined
}

/** How this peer is reached, and what is done for it: probes, relays, calls back. */
export class Reach {
  readonly #node: Libp2pNode
  readonly #network: Network
  readonly #own: OwnAddresses
  readonly #probe: ReachProbe
  readonly #keeper: RelayKeeper | undefined
  readonly #callbacks: Callbacks
  readonly #upgrade: DirectUpgrade
  #told = ''

  constructor(options: ReachOptions) {
    const { node, network } = options
    this.#node = node
    this.#network = network
    this.#own = new OwnAddresses(network.peerId, () =>
      node.getMultiaddrs().filter((address) => !isRelayed(address)),
    )
    this.#probe = new ReachProbe({ ...options, own: this.#own, changed: () => this.#changed() })
    const { reservations } = node.services.circuits
    this.#keeper =
      reservations &&
      new RelayKeeper({
        ...options,
        reservations,
        named: options.relays,
        met: options.listens || options.relays.length > 0,
        connect: (address, signal) => network.connect(address, { signal }),
        needed: () => this.#needsRelays(),
        changed: () => this.#changed(),
      })
    this.#callbacks = new Callbacks({
      ...options,
      ownAddresses: () => this.#own.callable().map(String),
    })
    this.#upgrade = new DirectUpgrade({ ...options, callbacks: this.#callbacks })
  }

  async start(): Promise<void> {
    this.#node.addEventListener('self:peer:update', this.#onSelf)
    this.#probe.start()
    await this.#keeper?.start()
  }

  stop(): void {
    this.#node.removeEventListener('self:peer:update', this.#onSelf)
    this.#probe.stop()
    this.#keeper?.stop()
    this.#upgrade.stop()
  }

  /** What is known to work first, then what nobody has tried, relays, and what does not work last. */
  addresses(): string[] {
    const callable = this.#own.callable()
    const works = callable.filter((address) => !this.#own.isUnreachable(address))
    const fails = callable.filter((address) => this.#own.isUnreachable(address))
    const relayed = this.#keeper?.addresses() ?? []
    return [...works.map(String), ...relayed, ...fails.map(String)]
  }

  reachability(): Reachability {
    const relay = this.#node.services.relay?.load()
    return describeReach({
      addresses: this.#own.describe(),
      relayed: this.#keeper?.addresses() ?? [],
      relays: this.#keeper?.relays() ?? [],
      asked: this.#probe.settled,
      mapping: this.#node.services.upnp?.found,
      ...(relay === undefined ? {} : { relay }),
    })
  }

  /** How a peer that cannot be dialed is had to call. */
  callBack(peer: string, relayed: readonly Multiaddr[]): Attempt | undefined {
    return this.#callbacks.throughNeighbours(peer, relayed)
  }

  isReversed(connection: Connection): boolean {
    return this.#callbacks.isReversed(connection)
  }

  opened(connection: Connection): void {
    this.#callbacks.opened(connection)
    this.#upgrade.opened(connection)
  }

  readonly #onSelf = (): void => {
    this.#probe.soon()
    this.#changed()
  }

  /** Until it is known whether an address of the world works, nobody else's relay is used for it. */
  #needsRelays(): boolean {
    if (this.#own.isPublic) return false
    const open = this.#own
      .all()
      .some(({ address, mapped }) => !mapped && addressReach(address) === REACH.world)
    return !open || this.#probe.settled
  }

  #changed(): void {
    this.#keeper?.look()
    const addresses = this.addresses().slice(0, LIMITS.offers).join()
    if (addresses === this.#told) return
    this.#told = addresses
    this.#upgrade.improveAll()
    this.#network.dispatchEvent(new CustomEvent('addresses', { detail: this.addresses() }))
  }
}
