import {
  type AskedOffers,
  type AskOffersOptions,
  type Clock,
  createIdentity,
  ManyhandsError,
  type Network,
  type NetworkStatus,
  noOffences,
  type Offer,
  type PeerConnection,
  type Reachability,
} from '@manyhands/core'
import type { SimulatedConnection } from './simulated-connection.ts'
import { type LinkConditions, SimulatedLink } from './simulated-link.ts'
import { SimulatedRequests } from './simulated-requests.ts'
import { SimulatedStreams } from './simulated-streams.ts'
import type { SimulatedWire, WirePeer } from './simulated-wire.ts'

/** The network as one simulated peer has it: what `createNetwork` gives, without a socket. */
export class SimulatedPeer extends EventTarget implements Network, WirePeer {
  readonly peerId: string
  readonly link: SimulatedLink
  /** Whether it can be connected to. */
  readonly dialable: boolean
  /** Where others see it. */
  readonly ip: string | undefined
  /** Its own time. */
  readonly clock: Clock
  up = true
  readonly requests: SimulatedRequests
  readonly streams: SimulatedStreams
  frozen = false
  readonly #wire: SimulatedWire
  readonly #connections = new Map<string, SimulatedConnection>()
  readonly #dials = new Map<string, Promise<SimulatedConnection>>()
  /** What ends with a connection. */
  readonly #open = new Map<SimulatedConnection, Set<(error: ManyhandsError) => void>>()
  readonly #blocked = new Set<string>()
  readonly #gossip: boolean
  #parked: (() => void)[] = []
  #cutOff = false

  constructor(
    wire: SimulatedWire,
    options: {
      seed: Uint8Array
      link: LinkConditions
      clock?: Clock
      gossip: boolean
      dialable: boolean
      ip?: string
    },
  ) {
    super()
    this.#wire = wire
    this.#gossip = options.gossip
    this.dialable = options.dialable
    this.ip = options.ip
    this.peerId = createIdentity(options.seed).peerId
    this.link = new SimulatedLink(options.link)
    this.clock = options.clock ?? wire.clock
    const parts = {
      end: this,
      clock: this.clock,
      wire,
      connection: (peer: string) => this.#connection(peer),
      untilCut: (connection: SimulatedConnection, cut: (error: ManyhandsError) => void) =>
        this.#untilCut(connection, cut),
    }
    this.requests = new SimulatedRequests(parts)
    this.streams = new SimulatedStreams(parts)
    wire.add(this)
  }

  get addresses(): string[] {
    return this.dialable ? [`/memory/1/p2p/${this.peerId}`] : []
  }

  get cutOff(): boolean {
    return this.#cutOff
  }

  set cutOff(cutOff: boolean) {
    this.#cutOff = cutOff
    for (const connection of [...this.#connections.values()]) connection.reachabilityChanged()
  }

  /** Whether gossip reaches it. */
  get listens(): boolean {
    return this.#gossip && this.up
  }

  /** The wire has neither routers nor relays. */
  reachability(): Reachability {
    const state = this.dialable ? 'reachable' : 'unreachable'
    return {
      kind: this.dialable ? 'direct' : 'outgoing',
      summary: `It can ${this.dialable ? '' : 'not '}be connected to.`,
      addresses: this.addresses.map((address) => ({ address, scope: 'public', state, by: [] })),
      relays: [],
      hints: [],
    }
  }

  async connect(addresses: string | readonly string[]): Promise<string> {
    const address = typeof addresses === 'string' ? addresses : (addresses[0] ?? '')
    const peer = /\/p2p\/([^/]+)$/.exec(address)?.[1]
    if (peer === undefined) {
      throw new ManyhandsError('ADDRESS_INVALID', `${address} is no address of a simulated peer`)
    }
    await this.#connection(peer)
    return peer
  }

  async reconnect(peer: string, { signal }: { signal?: AbortSignal } = {}): Promise<void> {
    const older = this.#connections.get(peer)
    const connection = await this.#wire.dial(this, peer, { beside: true, signal })
    if (older === undefined || older === connection) return
    older.cut('another one has taken its place', this)
    this.dispatchEvent(new CustomEvent('peer:reconnect', { detail: peer }))
  }

  isConnected(peer: string): boolean {
    return this.#connections.has(peer)
  }

  peers(): string[] {
    return [...this.#connections.keys()]
  }

  connections(): PeerConnection[] {
    return Array.from(this.#connections, ([peer, { ends, openedAt }]) => ({
      peer,
      kind: 'direct',
      address: `/memory/1/p2p/${peer}`,
      direction: ends[0] === this ? 'outbound' : 'inbound',
      openMs: this.clock.now() - openedAt,
      // Nothing is sent as bytes.
      ...{ bytesIn: 0, bytesOut: 0, bytesInPerSecond: 0, bytesOutPerSecond: 0 },
    }))
  }

  portMapping(): undefined {}
  status(): NetworkStatus {
    return { offersKnown: this.offers().length, bytesIn: 0, bytesOut: 0 }
  }

  remoteAddresses(peer: string): string[] {
    const other = this.#connections.get(peer)?.other(this)
    return other?.ip === undefined ? [] : [other.ip]
  }

  drop(peer: string): void {
    this.#connections.get(peer)?.cut('it does not answer any more', this)
  }

  async disconnect(peer: string): Promise<void> {
    this.#connections.get(peer)?.cut('closed', this)
  }

  async block(peer: string): Promise<void> {
    this.#blocked.add(peer)
    await this.disconnect(peer)
  }

  unblock(peer: string): void {
    this.#blocked.delete(peer)
  }

  /** The wire of a simulation carries what is well made alone. */
  readonly bans: Network['bans'] = () => []

  readonly offences: Network['offences'] = () => noOffences()

  readonly call: Network['call'] = (peer, method, params, options) =>
    this.requests.call(peer, method, params, options)

  readonly handle: Network['handle'] = (method, handler) => this.requests.handle(method, handler)

  readonly openStream: Network['openStream'] = (peer, protocol, options) =>
    this.streams.openTo(peer, protocol, options)

  readonly handleStream: Network['handleStream'] = async (protocol, handler) =>
    this.streams.handle(protocol, handler)

  async publishOffer(offer: Offer): Promise<void> {
    if (this.up) this.#wire.publish(this, offer)
  }

  readonly withdrawOffer = async (): Promise<void> => this.#wire.withdraw(this)

  readonly offers = (): Offer[] => this.#wire.offers(this.peerId)

  offerAge(peer: string): number | undefined {
    return this.offers().some(({ peerId }) => peerId === peer) ? 0 : undefined
  }

  /** What others say of hosts here is believed as far as one may go and ask. */
  async askOffers(peer: string, options?: AskOffersOptions): Promise<AskedOffers> {
    const { offers } = await this.call(peer, 'offer.list', {}, { signal: options?.signal })
    return { news: 0, hearsay: offers }
  }

  async connectTo(peer: string): Promise<void> {
    await this.#connection(peer)
  }

  async ping(peer: string): Promise<number> {
    const begunAt = this.clock.now()
    await this.call(peer, 'offer.list', {})
    return this.clock.now() - begunAt
  }

  async close(): Promise<void> {
    this.hangUp('closed')
    this.#wire.remove(this)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** All its connections are over, and nobody reaches it any more. */
  hangUp(why: string): void {
    this.up = false
    this.#parked = []
    for (const connection of [...this.#connections.values()]) connection.cut(why, this)
  }

  connectionTo(peer: string): SimulatedConnection | undefined {
    return this.#connections.get(peer)
  }

  connected(connection: SimulatedConnection): void {
    const { peerId } = connection.other(this)
    const beside = this.#connections.get(peerId)?.open === true
    this.#connections.set(peerId, connection)
    this.#open.set(connection, new Set())
    if (!beside) this.dispatchEvent(new CustomEvent('peer:connect', { detail: peerId }))
  }

  disconnected(connection: SimulatedConnection, error: ManyhandsError): void {
    const { peerId } = connection.other(this)
    for (const cut of [...(this.#open.get(connection) ?? [])]) cut(error)
    this.#open.delete(connection)
    // Another one may have taken its place before this one was noticed.
    if (this.#connections.get(peerId) !== connection) return
    this.#connections.delete(peerId)
    this.dispatchEvent(new CustomEvent('peer:disconnect', { detail: peerId }))
  }

  receive(arrived: () => void): void {
    if (this.frozen) this.#parked.push(arrived)
    else if (this.up) arrived()
  }

  /** It goes on after it stood still: what came meanwhile is there. */
  thawed(): void {
    const parked = this.#parked
    this.#parked = []
    for (const arrived of parked) arrived()
  }

  heard(offer: Offer): void {
    this.dispatchEvent(new CustomEvent('offer', { detail: offer }))
  }

  #connection(peer: string): Promise<SimulatedConnection> {
    const known = this.#connections.get(peer)
    if (known?.open) return Promise.resolve(known)
    if (this.#blocked.has(peer)) {
      const why = `the peer ${peer} is blocked here`
      return Promise.reject(new ManyhandsError('CONNECT_FAILED', why))
    }
    let dial = this.#dials.get(peer)
    if (dial === undefined) {
      dial = this.#wire.dial(this, peer).finally(() => this.#dials.delete(peer))
      this.#dials.set(peer, dial)
    }
    return dial
  }

  /** Calls when the connection is cut; the answer takes that back. */
  #untilCut(connection: SimulatedConnection, cut: (error: ManyhandsError) => void): () => void {
    const open = this.#open.get(connection)
    if (open === undefined) {
      cut(new ManyhandsError('PEER_GONE', 'the connection was cut'))
      return () => {}
    }
    open.add(cut)
    return () => open.delete(cut)
  }
}
