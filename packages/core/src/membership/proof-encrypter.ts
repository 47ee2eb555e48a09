import type {
  ConnectionEncrypter,
  MessageStream,
  SecureConnectionOptions,
  SecuredConnection,
} from '@libp2p/interface'
import type { ProofExchange } from './proof-exchange.ts'

export interface ProofEncrypterOptions {
  exchange: ProofExchange
  /** A peer has shown that it is one of a member's. */
  proven(peer: string, member: string): void
  /** What goes wrong is an error of another class by the time that it reaches who dials. */
  remember(error: unknown): void
}

/** An encrypter whose connections are of members alone: the proof is the first that is said over it. */
export class ProofEncrypter implements ConnectionEncrypter {
  readonly protocol: string
  readonly #inner: ConnectionEncrypter
  readonly #options: ProofEncrypterOptions

  constructor(inner: ConnectionEncrypter, options: ProofEncrypterOptions) {
    this.protocol = inner.protocol
    this.#inner = inner
    this.#options = options
  }

  async secureInbound(
    connection: MessageStream,
    options?: SecureConnectionOptions,
  ): Promise<SecuredConnection> {
    return this.#prove(await this.#inner.secureInbound(connection, options), false, options)
  }

  async secureOutbound(
    connection: MessageStream,
    options?: SecureConnectionOptions,
  ): Promise<SecuredConnection> {
    return this.#prove(await this.#inner.secureOutbound(connection, options), true, options)
  }

  async #prove(
    secured: SecuredConnection,
    dialed: boolean,
    options?: SecureConnectionOptions,
  ): Promise<SecuredConnection> {
    const { exchange, proven, remember } = this.#options
    const peer = secured.remotePeer.toString()
    try {
      proven(peer, await exchange.run(secured.connection, peer, dialed, options?.signal))
      return secured
    } catch (error) {
      remember(error)
      secured.connection.abort(error as Error)
      throw error
    }
  }
}
