import type { Connection, PeerId, Stream } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { ManyhandsError } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import type { Offer } from '../offer.ts'
import { PROTOCOLS } from '../wire/protocols.ts'
import type { RpcMethod, RpcParams, RpcResult } from '../wire/rpc-methods.ts'
import { parseAddresses, peerOfAddress } from './address.ts'
import { directHost, plainTcpHost, routeOf } from './bulk-route.ts'
import { createFrameStream } from './frame-stream.ts'
import { signingKey } from './identity.ts'
import type { Libp2pNode } from './libp2p-node.ts'
import type { FrameStream, Logger, Network } from './network.ts'
import { OfferGossip } from './offer-gossip.ts'
import { connectFailed, streamRefused } from './peer-error.ts'
import { RpcChannel, type RpcHandler } from './rpc-channel.ts'
import { type StreamHandler, StreamService } from './stream-service.ts'

export interface Libp2pNetworkOptions {
  seed: Uint8Array
  /** Shared with the node's connection gater. */
  blocked: Set<string>
  /** Multiaddrs that the node listens on. */
  listen: readonly string[]
  logger?: Logger
}

/** {@link Network} over a libp2p node. */
export class Libp2pNetwork extends EventTarget implements Network {
  readonly peerId: string
  readonly #node: Libp2pNode
  readonly #blocked: Set<string>
  readonly #logger: Logger | undefined
  readonly #handlers = new Map<string, RpcHandler>()
  readonly #channels = new Map<string, RpcChannel>()
  readonly #streams: StreamService
  /** Hosts of the plain TCP addresses that we listen on. */
  readonly #listening: readonly string[]
  readonly #gossip: OfferGossip
  readonly #closers: (() => void)[] = []
  #closing: Promise<void> | undefined

  constructor(node: Libp2pNode, options: Libp2pNetworkOptions) {
    super()
    this.#node = node
    this.#blocked = options.blocked
    this.#logger = options.logger
    this.peerId = node.peerId.toString()
    this.#streams = new StreamService(options.logger)
    this.#listening = options.listen.flatMap((address) => plainTcpHost(multiaddr(address)) ?? [])
    this.#gossip = new OfferGossip({
      pubsub: node.services.gossip,
      peerId: this.peerId,
      key: signingKey(options.seed),
      blocked: options.blocked,
      onOffer: (offer) => this.dispatchEvent(new CustomEvent('offer', { detail: offer })),
    })
    node.addEventListener('peer:connect', ({ detail }) => this.#tell('peer:connect', detail))
    node.addEventListener('peer:disconnect', ({ detail }) => this.#tell('peer:disconnect', detail))
    node.addEventListener('peer:discovery', ({ detail: { id } }) => {
      // mDNS finds addresses; being connected is what makes a peer visible.
      node.dial(id).catch((error) => this.#logger?.debug('a found peer does not answer', { error }))
    })
  }

  async start(): Promise<void> {
    await this.#node.handle(PROTOCOLS.rpc, (stream, connection) => {
      this.#channel(connection.remotePeer.toString()).accept(stream)
    })
    await this.#node.start()
    this.#gossip.start()
  }

  /** Runs something when the network closes. */
  onClose(closer: () => void): void {
    this.#closers.push(closer)
  }

  get addresses(): string[] {
    return this.#node.getMultiaddrs().map((address) => address.toString())
  }

  async connect(address: string, options: { signal?: AbortSignal } = {}): Promise<string> {
    const [target] = await parseAddresses([address])
    const connection = await this.#dial(address, options.signal, (signal) =>
      this.#node.dial(target!, { signal }),
    )
    return connection.remotePeer.toString()
  }

  isConnected(peer: string): boolean {
    return this.#node.getConnections(this.#id(peer)).length > 0
  }

  peers(): string[] {
    return this.#node.getPeers().map((peer) => peer.toString())
  }

  remoteAddresses(peer: string): string[] {
    const hosts = this.#node.getConnections(this.#id(peer)).flatMap((one) => directHost(one) ?? [])
    return [...new Set(hosts)]
  }

  async disconnect(peer: string): Promise<void> {
    await this.#node.hangUp(this.#id(peer))
  }

  async block(peer: string): Promise<void> {
    const id = this.#id(peer)
    this.#blocked.add(peer)
    this.#gossip.forget(peer)
    for (const connection of this.#node.getConnections(id)) {
      connection.abort(new Error('the peer is blocked'))
    }
    await this.#node.hangUp(id)
  }

  unblock(peer: string): void {
    this.#blocked.delete(peer)
  }

  call<Method extends RpcMethod>(
    peer: string,
    method: Method,
    params: RpcParams<Method>,
    options?: { signal?: AbortSignal; timeoutMs?: number },
  ): Promise<RpcResult<Method>> {
    if (this.#closing !== undefined) return Promise.reject(closed())
    return this.#channel(peer).call(method, params, options) as Promise<RpcResult<Method>>
  }

  handle<Method extends RpcMethod>(
    method: Method,
    handler: (params: RpcParams<Method>, context: { peer: string }) => Promise<RpcResult<Method>>,
  ): void {
    this.#handlers.set(method, handler)
  }

  async openStream(
    peer: string,
    protocol: string,
    { signal }: { signal?: AbortSignal } = {},
  ): Promise<FrameStream> {
    const { stream, connection } = await this.#open(peer, protocol, signal)
    const route = routeOf(connection, this.#listening)
    return createFrameStream(stream, { peer, route, inbound: false })
  }

  async handleStream(protocol: string, handler: StreamHandler): Promise<void> {
    this.#streams.handle(protocol, handler)
    await this.#node.unhandle(protocol)
    await this.#node.handle(
      protocol,
      (stream, connection) => {
        const peer = connection.remotePeer.toString()
        return this.#streams.serve({
          peer,
          protocol,
          frames: () => {
            const route = routeOf(connection, this.#listening)
            return createFrameStream(stream, { peer, route, inbound: true })
          },
          refuse: (error) => stream.abort(error),
          onClose: (closed) => stream.addEventListener('close', closed),
        })
      },
      { maxInboundStreams: LIMITS.streamsPerPeer, maxOutboundStreams: LIMITS.streamsPerPeer },
    )
  }

  publishOffer(offer: Offer): Promise<void> {
    return this.#gossip.publish(offer)
  }

  async withdrawOffer(): Promise<void> {
    this.#gossip.withdraw()
  }

  offers(): Offer[] {
    return this.#gossip.all()
  }

  async ping(peer: string, options: { signal?: AbortSignal } = {}): Promise<number> {
    return this.#dial(peer, options.signal, (signal) =>
      this.#node.services.ping.ping(this.#id(peer), { signal }),
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
    for (const closer of this.#closers) closer()
    this.#gossip.stop()
    for (const channel of this.#channels.values()) channel.abort(closed())
    await this.#node.stop()
  }

  #channel(peer: string): RpcChannel {
    const known = this.#channels.get(peer)
    if (known !== undefined) return known
    const channel = new RpcChannel({
      peer,
      handlers: this.#handlers,
      open: async () => (await this.#open(peer, PROTOCOLS.rpc)).stream,
      onIdle: () => {
        if (this.#channels.get(peer) === channel) this.#channels.delete(peer)
      },
    })
    this.#channels.set(peer, channel)
    return channel
  }

  #open(
    peer: string,
    protocol: string,
    signal?: AbortSignal,
  ): Promise<{ stream: Stream; connection: Connection }> {
    return this.#dial(peer, signal, async (bounded) => {
      const streams = { signal: bounded, maxOutboundStreams: LIMITS.streamsPerPeer }
      const begin = async (connection: Connection) => ({
        connection,
        stream: await connection.newStream([protocol], streams),
      })
      try {
        return await begin(await this.#connection(peer, bounded)).catch(async (error) => {
          // It was closing already, and nobody had been told: another one is made.
          if ((error as Error).name !== 'ConnectionClosedError') throw error
          return begin(await this.#redial(peer, bounded))
        })
      } catch (error) {
        throw streamRefused(peer, protocol, error)
      }
    })
  }

  async #connection(peer: string, signal: AbortSignal): Promise<Connection> {
    const id = this.#id(peer)
    const open = this.#node.getConnections(id).find(({ status }) => status === 'open')
    return open ?? (await this.#node.dial((await this.#offered(peer)) ?? id, { signal }))
  }

  async #redial(peer: string, signal: AbortSignal): Promise<Connection> {
    const target = (await this.#offered(peer)) ?? this.#id(peer)
    return this.#node.dial(target, { signal, force: true })
  }

  /** Where a peer that is known by its offer alone can be reached. */
  async #offered(peer: string): Promise<Multiaddr[] | undefined> {
    const addresses = this.#gossip.get(peer)?.addresses ?? []
    const parsed = await parseAddresses(addresses).catch(() => [])
    const own = parsed.filter((address) => peerOfAddress(address) === peer)
    return own.length > 0 ? own : undefined
  }

  async #dial<Result>(
    where: string,
    signal: AbortSignal | undefined,
    work: (signal: AbortSignal) => Promise<Result>,
  ): Promise<Result> {
    if (this.#closing !== undefined) throw closed()
    signal?.throwIfAborted()
    const timeout = AbortSignal.timeout(LIMITS.dialTimeoutMs)
    try {
      return await work(signal === undefined ? timeout : AbortSignal.any([signal, timeout]))
    } catch (error) {
      signal?.throwIfAborted()
      throw this.#closing === undefined ? connectFailed(where, error) : closed()
    }
  }

  #id(peer: string): PeerId {
    try {
      return peerIdFromString(peer)
    } catch (cause) {
      throw new ManyhandsError('ADDRESS_INVALID', `not a peer id: ${JSON.stringify(peer)}`, {
        cause,
      })
    }
  }

  #tell(type: 'peer:connect' | 'peer:disconnect', peer: PeerId): void {
    this.dispatchEvent(new CustomEvent(type, { detail: peer.toString() }))
  }
}

function closed(): ManyhandsError {
  return new ManyhandsError('CLOSED', 'the network was closed')
}
