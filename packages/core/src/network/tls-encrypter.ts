import { constants } from 'node:crypto'
import { Socket } from 'node:net'
import { connect, createSecureContext, type SecureContext, TLSSocket } from 'node:tls'
import type {
  ConnectionEncrypter,
  MessageStream,
  MultiaddrConnection,
  PrivateKey,
  SecureConnectionOptions,
  SecuredConnection,
} from '@libp2p/interface'
import { type TLSComponents, tls } from '@libp2p/tls'
import type { Uint8ArrayList } from 'uint8arraylist'
import { ManyhandsError } from '../errors.ts'
import { type Certificate, createCertificate, verifyCertificate } from './certificate.ts'
import { handshake } from './tls-handshake.ts'
import { TlsMessageStream } from './tls-message-stream.ts'

/** What libp2p says when the muxer is to be negotiated after the handshake. */
const NO_EARLY_MUXER = 'libp2p'
/** Room for one corked send, so that a send does not wait for the one before it. */
const WRITE_BUFFER_BYTES = 1024 * 1024

/** A TCP connection as the transport makes it: its socket is what TLS shall run on. */
interface SocketConnection extends MultiaddrConnection {
  socket: Socket
  readBuffer: Uint8ArrayList
  sendClose(): Promise<void>
}

export interface SocketTlsOptions {
  /** Makes the node's certificate, once. Default {@link createCertificate}. */
  certify?: (identity: PrivateKey) => Promise<Certificate>
}

/**
 * TLS for libp2p, done by `node:tls` on the kernel's socket: the same protocol on the wire as
 * `@libp2p/tls`, without moving every byte through JavaScript twice. Connections that are not plain
 * sockets (websockets, relays) are left to the stock implementation.
 */
export function socketTls(
  options: SocketTlsOptions = {},
): (components: TLSComponents) => ConnectionEncrypter {
  return (components) => new SocketTls(components, options)
}

class SocketTls implements ConnectionEncrypter {
  readonly protocol = '/tls/1.0.0'
  readonly #components: TLSComponents
  readonly #stock: ConnectionEncrypter
  readonly #certify: (identity: PrivateKey) => Promise<Certificate>
  #context: Promise<SecureContext> | undefined

  constructor(components: TLSComponents, { certify = createCertificate }: SocketTlsOptions) {
    this.#components = components
    this.#certify = certify
    this.#stock = tls()(components)
  }

  async secureInbound(
    connection: MessageStream,
    options?: SecureConnectionOptions,
  ): Promise<SecuredConnection> {
    if (!isSocketConnection(connection)) {
      return this.#stock.secureInbound(connection, options)
    }
    const context = await this.#secureContext()
    let muxer: string | undefined
    const socket = new TLSSocket(takeSocket(connection), {
      ...socketOptions(context),
      isServer: true,
      requestCert: true,
      ALPNCallback: ({ protocols }) => {
        const known = this.#muxers(options)
        muxer = protocols.find((protocol) => known.includes(protocol))
        return muxer ?? (protocols.includes(NO_EARLY_MUXER) ? NO_EARLY_MUXER : undefined)
      },
    })
    return this.#secured(connection, socket, options, () => muxer)
  }

  async secureOutbound(
    connection: MessageStream,
    options?: SecureConnectionOptions,
  ): Promise<SecuredConnection> {
    if (!isSocketConnection(connection)) {
      return this.#stock.secureOutbound(connection, options)
    }
    const context = await this.#secureContext()
    const socket = connect({
      ...socketOptions(context),
      socket: takeSocket(connection),
      ALPNProtocols: [...this.#muxers(options), NO_EARLY_MUXER],
    })
    return this.#secured(connection, socket, options, () => socket.alpnProtocol || undefined)
  }

  /** One certificate per node: making one costs more than a handshake. */
  #secureContext(): Promise<SecureContext> {
    this.#context ??= this.#certify(this.#components.privateKey).then((certificate) =>
      createSecureContext({
        ...certificate,
        minVersion: 'TLSv1.3',
        maxVersion: 'TLSv1.3',
        secureOptions: constants.SSL_OP_NO_TICKET,
      }),
    )
    return this.#context
  }

  #muxers(options: SecureConnectionOptions | undefined): string[] {
    if (options?.skipStreamMuxerNegotiation === true) return []
    return [...this.#components.upgrader.getStreamMuxers().keys()]
  }

  async #secured(
    connection: SocketConnection,
    socket: TLSSocket,
    options: SecureConnectionOptions | undefined,
    chosenMuxer: () => string | undefined,
  ): Promise<SecuredConnection> {
    // Also between the handshake and the stream: nobody who resets it then ends our process.
    socket.on('error', () => {})
    try {
      await handshake(socket, options?.signal)
      const { raw } = socket.getPeerCertificate() as { raw?: Uint8Array }
      const remotePeer = await verifyCertificate(raw, options?.remotePeer)
      options?.signal?.throwIfAborted()
      if (socket.destroyed) {
        throw new ManyhandsError('PEER_GONE', 'the connection was cut in the handshake')
      }
      const muxer = chosenMuxer()
      return {
        remotePeer,
        connection: new TlsMessageStream(connection, socket),
        streamMuxer:
          muxer === undefined ? undefined : this.#components.upgrader.getStreamMuxers().get(muxer),
      }
    } catch (error) {
      socket.destroy()
      connection.abort(error as Error)
      throw error
    }
  }
}

function socketOptions(secureContext: SecureContext) {
  return {
    secureContext,
    // Peers are known by the key in their certificate, not by an authority.
    rejectUnauthorized: false,
    highWaterMark: WRITE_BUFFER_BYTES,
  }
}

function isSocketConnection(
  connection: MessageStream,
): connection is MessageStream & SocketConnection {
  return (connection as Partial<SocketConnection>).socket instanceof Socket
}

/**
 * Takes the socket from the connection. The connection keeps hearing of errors and of the end of the
 * socket, but no longer reads from it; what it had read already goes back.
 */
function takeSocket(connection: SocketConnection): Socket {
  const { socket, readBuffer } = connection
  if (socket.destroyed) {
    throw new ManyhandsError('PEER_GONE', 'the connection was closed before the handshake')
  }
  for (const event of ['data', 'drain', 'end']) socket.removeAllListeners(event)
  socket.pause()
  socket.setTimeout(0)
  if (readBuffer.byteLength > 0) {
    socket.unshift(readBuffer.slice())
    readBuffer.consume(readBuffer.byteLength)
  }
  return socket
}
