import { multiaddr } from '@multiformats/multiaddr'
import { Discovery } from '../discovery/discovery.ts'
import type { AskedOffers, AskOffersOptions } from '../discovery/offer-asking.ts'
import type { ManyhandsError } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import type { MemberRole } from '../membership/member-role.ts'
import type { Membership } from '../membership/membership.ts'
import type { MembershipSession } from '../membership/membership-session.ts'
import type { Offer } from '../offer.ts'
import { namesOf, PROTOCOLS } from '../wire/protocols.ts'
import type { RpcMethod, RpcParams, RpcResult } from '../wire/rpc-methods.ts'
import { plainTcpHost, routeOf } from './bulk-route.ts'
import { ClockSkews } from './clock-skews.ts'
import type { DialRules } from './dial-rules.ts'
import { createFrameStream } from './frame-stream.ts'
import { signingKey } from './identity.ts'
import type { Libp2pNode } from './libp2p-node.ts'
import type { Ban, MannersCounts } from './manners/ban.ts'
import type { Manners } from './manners/manners.ts'
import type { FrameStream, Logger, Network, NetworkStatus } from './network.ts'
import type { PeerConnection } from './peer-connection.ts'
import { PeerConnections } from './peer-connections.ts'
import { PeerDialer } from './peer-dialer.ts'
import { networkClosed } from './peer-error.ts'
import type { PeerGate } from './peer-gate.ts'
import { peerIdOf } from './peer-id.ts'
import type { PortMapping } from './port-mapping/port-mapping.ts'
import { Reach } from './reach/reach.ts'
import type { Reachability } from './reach/reachability.ts'
import { Reconnection } from './reconnection.ts'
import { RpcChannels } from './rpc-channels.ts'
import { type StreamHandler, StreamService } from './stream-service.ts'

export interface Libp2pNetworkOptions {
  seed: Uint8Array
  /** Asked by the node's connection gater too. */
  gate: PeerGate
  manners: Manners
  /** Asked by the node's connection gater too. */
  rules: DialRules
  /** Multiaddrs that the node listens on. */
  listen: readonly string[]
  /** Relays to be reached over. */
  relays?: readonly string[]
  /** Of a private network. */
  session?: MembershipSession | undefined
  logger?: Logger
}

/** {@link Network} over a libp2p node. */
export class Libp2pNetwork extends EventTarget implements Network {
  readonly peerId: string
  readonly #node: Libp2pNode
  readonly #gate: PeerGate
  readonly #manners: Manners
  readonly #logger: Logger | undefined
  readonly #channels: RpcChannels
  readonly #streams: StreamService
  /** Hosts of the plain TCP addresses that we listen on. */
  readonly #listening: readonly string[]
  readonly #discovery: Discovery
  readonly #dialer: PeerDialer
  readonly #reach: Reach
  readonly #connections: PeerConnections
  readonly #session: MembershipSession | undefined
  readonly #clocks: ClockSkews
  readonly #reconnection: Reconnection
  readonly #closers: (() => void)[] = []
  #closing: Promise<void> | undefined

  constructor(node: Libp2pNode, options: Libp2pNetworkOptions) {
    super()
    this.#node = node
    this.#gate = options.gate
    this.#manners = options.manners
    this.#logger = options.logger
    this.peerId = node.peerId.toString()
    const { session } = options
    this.#session = session
    this.#clocks = new ClockSkews(options.logger)
    this.#streams = new StreamService(options.logger, options.manners, (peer, protocol) =>
      session?.openFault(peer, protocol),
    )
    this.#channels = new RpcChannels({
      open: (peer) => this.#dialer.stream(peer, PROTOCOLS.rpc),
      best: (peer) => this.#connections.best(peer),
      fault: (peer, method, who) =>
        who === 'asks' ? session?.askFault(peer, method) : session?.answerFault(peer, method),
      manners: options.manners,
    })
    this.#listening = options.listen.flatMap((address) => plainTcpHost(multiaddr(address)) ?? [])
    this.#discovery = new Discovery({
      pubsub: node.services.gossip,
      peerId: this.peerId,
      key: signingKey(options.seed),
      refuses: (peer) => options.gate.refuses(peer),
      isConnected: (peer) => this.isConnected(peer),
      connect: (peer, signal) => this.#dialer.peer(peer, signal),
      call: (peer, params, asking) => this.call(peer, 'offer.page', params, asking),
      callOld: (peer, asking) => this.call(peer, 'offer.list', {}, asking),
      offend: (peer) => options.manners.offend(peer, 'forged'),
      ...(session === undefined
        ? {}
        : {
            binding: session.binding,
            believes: (announcement) =>
              session.believes(announcement.offer.peerId, announcement.binding),
          }),
      onOffer: (offer) => this.dispatchEvent(new CustomEvent('offer', { detail: offer })),
      onGone: (peer) => this.dispatchEvent(new CustomEvent('offer:gone', { detail: peer })),
    })
    this.#dialer = new PeerDialer({
      node,
      rules: options.rules,
      addressesOf: (peer) => this.#discovery.get(peer)?.addresses ?? [],
      refusalOf: (thrown) => session?.refusalOf(thrown),
      callBack: (peer, relayed) => this.#reach.callBack(peer, relayed),
    })
    this.#reach = new Reach({
      node,
      network: this,
      gate: options.gate,
      rules: options.rules,
      listens: options.listen.length > 0,
      relays: options.relays ?? [],
      dial: (addresses, signal) => this.#dialer.direct(addresses, signal),
      requestsOn: (connection) => this.#channels.openOn(connection),
      logger: options.logger,
    })
    this.#connections = new PeerConnections({
      node,
      reach: this.#reach,
      clocks: this.#clocks,
      met: (peer, address) => session?.met(peer, address),
      tell: (type, detail) => this.dispatchEvent(new CustomEvent(type, { detail })),
    })
    this.handle('offer.page', (asked, { peer }) => this.#discovery.answer(asked, peer))
    this.handle('offer.list', async () => ({
      offers: this.offers().slice(-LIMITS.offersPerAnswer),
    }))
    this.#reconnection = new Reconnection(node, (peer) => {
      this.dispatchEvent(new CustomEvent('peer:reconnect', { detail: peer }))
    })
    node.addEventListener('peer:discovery', ({ detail: { id } }) => {
      // mDNS finds addresses; being connected is what makes a peer visible. Some are enough: they know the
      // others, and on a large LAN everybody would be connected to everybody.
      if (node.getPeers().length >= LIMITS.lanPeers) return
      node.dial(id).catch((error) => this.#logger?.debug('a found peer does not answer', { error }))
    })
  }

  async start(): Promise<void> {
    await this.#node.handle(
      namesOf(PROTOCOLS.rpc),
      (stream, connection) => this.#channels.accept(stream, connection),
      { runOnLimitedConnection: true },
    )
    this.#session?.start(this, this.#logger)
    await this.#node.start()
    this.#discovery.start()
    await this.#reach.start()
  }

  /** Runs something when the network closes. */
  onClose(closer: () => void): void {
    this.#closers.push(closer)
  }

  get membership(): Membership | undefined {
    return this.#session?.membership
  }

  roleOf(peer: string): MemberRole | undefined {
    return this.#session?.roleOf(peer)
  }

  async compareMembers(): Promise<string[]> {
    return (await this.#session?.compareAll()) ?? []
  }

  /** A peer is no member's any more. */
  expelled(peer: string, reason: string): void {
    this.#discovery.forget(peer)
    this.dispatchEvent(new CustomEvent('peer:expelled', { detail: { peer, reason } }))
  }

  /** This computer is no member any more. */
  ended(error: ManyhandsError): void {
    this.dispatchEvent(new CustomEvent('membership:ended', { detail: error }))
  }

  /** Cuts all connections to a peer, without a word. */
  cut(peer: string): void {
    this.#connections.cut(peer, new Error('the peer is no member'))
  }

  get addresses(): string[] {
    return this.#reach.addresses()
  }

  reachability(): Reachability {
    return this.#reach.reachability()
  }

  async connect(
    address: string | readonly string[],
    options: { signal?: AbortSignal; told?: { by?: string } } = {},
  ): Promise<string> {
    return typeof address === 'string'
      ? this.#dialer.address(address, options)
      : this.#dialer.addresses(address, options)
  }

  connectTo(peer: string, options: { signal?: AbortSignal } = {}): Promise<void> {
    return this.#dialer.peer(peer, options.signal)
  }

  reconnect(
    peer: string,
    { addresses = [], signal }: { addresses?: readonly string[]; signal?: AbortSignal } = {},
  ): Promise<void> {
    const elsewhere = () => this.#dialer.whereIs(peer, addresses)
    return this.#dialer.bounded(peer, signal, (bounded) =>
      this.#reconnection.renew(peer, elsewhere, bounded),
    )
  }

  isConnected(peer: string): boolean {
    return this.#connections.has(peer)
  }

  peers(): string[] {
    return this.#connections.peers()
  }

  connections(): PeerConnection[] {
    return this.#connections.all()
  }

  portMapping(): PortMapping | undefined {
    return this.#node.services.upnp?.found
  }

  remoteAddresses(peer: string): string[] {
    return this.#connections.hosts(peer)
  }

  /** Where all peers are, or one of them; undefined where a relay stands between. */
  remoteHosts(peer?: string): (string | undefined)[] {
    return this.#connections.allHosts(peer)
  }

  async disconnect(peer: string): Promise<void> {
    await this.#connections.end(peer)
  }

  drop(peer: string): void {
    this.#reconnection.drop(peer)
  }

  async block(peer: string): Promise<void> {
    this.#gate.block(peer)
    this.#discovery.forget(peer)
    this.#connections.cut(peer, new Error('the peer is blocked'))
    await this.#connections.end(peer)
  }

  unblock(peer: string): void {
    this.#gate.unblock(peer)
    this.#manners.forgive(peer)
  }

  bans(): Ban[] {
    return this.#manners.bans()
  }

  offences(): MannersCounts {
    return this.#manners.counts()
  }

  call<Method extends RpcMethod>(
    peer: string,
    method: Method,
    params: RpcParams<Method>,
    options?: { signal?: AbortSignal; timeoutMs?: number },
  ): Promise<RpcResult<Method>> {
    if (this.#closing !== undefined) return Promise.reject(networkClosed())
    const askedAt = performance.now()
    const answer = this.#channels.to(peer).call(method, this.#clocks.with(method, params), options)
    return (answer as Promise<RpcResult<Method>>).then((result) => {
      if (method === 'hello') this.#clocks.told(peer, result, performance.now() - askedAt)
      return result
    })
  }

  handle<Method extends RpcMethod>(
    method: Method,
    handler: (params: RpcParams<Method>, context: { peer: string }) => Promise<RpcResult<Method>>,
  ): void {
    this.#channels.handle(method, async (params: RpcParams<Method>, context) => {
      if (method === 'hello') this.#clocks.told(context.peer, params)
      return this.#clocks.with(method, await handler(params, context))
    })
  }

  async openStream(
    peer: string,
    protocol: string,
    { signal }: { signal?: AbortSignal } = {},
  ): Promise<FrameStream> {
    const { stream, connection } = await this.#dialer.stream(peer, protocol, signal)
    const route = routeOf(connection, this.#listening)
    return createFrameStream(stream, { peer, route, inbound: false, manners: this.#manners })
  }

  async handleStream(protocol: string, handler: StreamHandler): Promise<void> {
    this.#streams.handle(protocol, handler)
    await this.#node.unhandle(namesOf(protocol))
    await this.#node.handle(
      namesOf(protocol),
      (stream, connection) => {
        const peer = connection.remotePeer.toString()
        return this.#streams.serve({
          peer,
          protocol,
          frames: () => {
            const route = routeOf(connection, this.#listening)
            return createFrameStream(stream, { peer, route, inbound: true, manners: this.#manners })
          },
          refuse: (error) => stream.abort(error),
          onClose: (closed) => stream.addEventListener('close', closed),
        })
      },
      {
        maxInboundStreams: LIMITS.streamsPerPeer,
        maxOutboundStreams: LIMITS.streamsPerPeer,
        runOnLimitedConnection: true,
      },
    )
  }

  publishOffer(offer: Offer): Promise<void> {
    return this.#discovery.publish(offer)
  }

  withdrawOffer(): Promise<void> {
    return this.#discovery.withdraw()
  }

  offers(): Offer[] {
    return this.#discovery.all()
  }

  offerAge(peer: string): number | undefined {
    return this.#discovery.ageOf(peer)
  }

  status(): NetworkStatus {
    const gossip = this.#discovery.gossiped
    return {
      offersKnown: this.#discovery.known,
      ...this.#connections.traffic(),
      ...(gossip === undefined ? {} : { gossip: { ...gossip } }),
    }
  }

  askOffers(peer: string, options?: AskOffersOptions): Promise<AskedOffers> {
    return this.#discovery.ask(peer, options)
  }

  async ping(peer: string, options: { signal?: AbortSignal } = {}): Promise<number> {
    return this.#dialer.bounded(peer, options.signal, (signal) =>
      this.#node.services.ping.ping(peerIdOf(peer), { signal }),
    )
  }

  close(): Promise<void> {
    this.#closing ??= this.#shutDown()
    return this.#closing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #shutDown(): Promise<void> {
    this.#reconnection.close()
    this.#reach.stop()
    for (const closer of this.#closers) closer()
    await this.#discovery.stop()
    this.#dialer.close()
    this.#manners.close()
    this.#channels.abort(networkClosed())
    await this.#node.stop()
    await this.#session?.close()
  }
}
