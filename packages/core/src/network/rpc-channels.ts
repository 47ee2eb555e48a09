import type { Connection, Stream } from '@libp2p/interface'
import type { RpcMethod } from '../wire/rpc-methods.ts'
import type { Manners } from './manners/manners.ts'
import { RpcChannel, type RpcHandler } from './rpc-channel.ts'

export interface RpcChannelsOptions {
  /** Opens a stream of requests to a peer. */
  open(peer: string): Promise<{ stream: Stream; connection: Connection }>
  /** The best connection to a peer that there is. */
  best(peer: string): Connection | undefined
  /** Why a peer is not to be asked something, or may not ask it; undefined when it is fine. */
  fault(peer: string, method: RpcMethod, who: 'asks' | 'answers'): Error | undefined
  manners: Manners
}

/** The requests between us and each peer, and who answers them. */
export class RpcChannels {
  readonly #options: RpcChannelsOptions
  readonly #handlers = new Map<string, RpcHandler>()
  readonly #channels = new Map<string, RpcChannel>()

  constructor(options: RpcChannelsOptions) {
    this.#options = options
  }

  handle(method: RpcMethod, handler: RpcHandler): void {
    this.#handlers.set(method, handler)
  }

  /** A stream of requests that a peer opened. */
  accept(stream: Stream, connection: Connection): void {
    this.to(connection.remotePeer.toString()).accept(stream, connection)
  }

  /** Requests that are under way over a connection, in both directions. */
  openOn(connection: Connection): number {
    return this.#channels.get(connection.remotePeer.toString())?.openOn(connection) ?? 0
  }

  to(peer: string): RpcChannel {
    const known = this.#channels.get(peer)
    if (known !== undefined) return known
    const channel = new RpcChannel({
      peer,
      handlers: this.#handlers,
      open: () => this.#options.open(peer),
      best: () => this.#options.best(peer),
      fault: (method, who) => this.#options.fault(peer, method, who),
      manners: this.#options.manners,
      onIdle: () => {
        if (this.#channels.get(peer) === channel) this.#channels.delete(peer)
      },
    })
    this.#channels.set(peer, channel)
    return channel
  }

  abort(error: Error): void {
    for (const channel of this.#channels.values()) channel.abort(error)
  }
}
