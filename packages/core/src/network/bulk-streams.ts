import type { TLSSocket } from 'node:tls'
import type { Connection } from '@libp2p/interface'
import { ManyhandsError } from '../errors.ts'
import { decodeDocument, encodeDocument } from '../wire/codec.ts'
import { acceptBulk, dialBulk } from './bulk-dial.ts'
import { BulkDoor, type IssuedTicket } from './bulk-door.ts'
import { BULK } from './bulk-limits.ts'
import { hostOf, reachableHost } from './bulk-route.ts'
import {
  type BulkAnswer,
  type BulkRequest,
  bulkAnswerSchema,
  bulkRequestSchema,
} from './bulk-ticket.ts'
import type { FrameStream, Logger } from './network.ts'
import type { SocketFrameStream } from './socket-frame-stream.ts'

export interface BulkStreamsOptions {
  /** Hosts of the plain TCP addresses that we listen on. */
  listening: readonly string[]
  /** Opens the stream over which a socket is agreed. */
  openControl(connection: Connection, signal: AbortSignal): Promise<FrameStream>
  /** Whether streams of this protocol are answered here. */
  serves(protocol: string): boolean
  /** Answers a stream that the peer has opened. */
  serve(protocol: string, stream: FrameStream, socket: TLSSocket): void
  logger?: Logger
}

/**
 * Streams that have a TLS socket of their own beside the connection of two peers. Whoever accepted the
 * connection accepts the socket too, since that way is known to work, and gives a ticket for it over
 * the connection; the other dials, whichever of the two wants the stream.
 */
export class BulkStreams {
  readonly #options: BulkStreamsOptions
  readonly #door = new BulkDoor()
  readonly #open = new Map<SocketFrameStream, TLSSocket>()
  /** Connections beside which it did not work, and until when it is not tried again. */
  readonly #hopeless = new WeakMap<Connection, number>()
  #closed = false

  constructor(options: BulkStreamsOptions) {
    this.#options = options
  }

  /** Ports on which sockets are accepted now. */
  ports(): Promise<number[]> {
    return this.#door.ports()
  }

  /** A stream with a socket of its own, or undefined where there is none. @throws signal's reason */
  async open(
    connection: Connection,
    protocol: string,
    signal: AbortSignal,
  ): Promise<FrameStream | undefined> {
    const host = hostOf(connection)
    if (host === undefined || this.#closed) return undefined
    if ((this.#hopeless.get(connection) ?? 0) > performance.now()) return undefined
    const bounded = AbortSignal.any([signal, AbortSignal.timeout(BULK.setupMs)])
    try {
      const agreed = await this.#agree(connection, host, protocol, bounded)
      if (agreed !== undefined) return agreed
    } catch (error) {
      signal.throwIfAborted()
      this.#options.logger?.debug('no socket for bulk data', { protocol, host, error })
      this.#hopeless.set(connection, performance.now() + BULK.retryMs)
    }
    return undefined
  }

  /** Answers who wants a socket. */
  async answer(control: FrameStream, connection: Connection): Promise<void> {
    const frame = await control.next()
    if (frame === undefined) return
    const request = decodeDocument(bulkRequestSchema, frame, 'bulk request')
    const host = hostOf(connection)
    if (host === undefined || !this.#options.serves(request.protocol)) {
      await control.send(encodeDocument({ ok: false }))
    } else if (request.ticket === undefined) {
      await this.#letIn(control, connection, host, request.protocol)
    } else {
      await this.#comeWith(control, connection, host, request)
    }
  }

  /** The last connection to a peer is closed: so is what lies beside it. */
  cut(peer: string): void {
    this.#door.revoke(peer)
    for (const stream of this.#open.keys()) {
      if (stream.peer === peer) stream.cut('the connection was closed')
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    for (const stream of this.#open.keys()) stream.cut('the network was closed')
    await this.#door.close()
  }

  async #agree(
    connection: Connection,
    host: string,
    protocol: string,
    signal: AbortSignal,
  ): Promise<FrameStream | undefined> {
    const peer = connection.remotePeer.toString()
    const issued = connection.direction === 'inbound' ? await this.#issue(peer, host) : undefined
    let control: FrameStream | undefined
    const onAbort = (): void => {
      issued?.cancel()
      control?.abort(signal.reason)
    }
    signal.addEventListener('abort', onAbort)
    try {
      control = await this.#options.openControl(connection, signal)
      const request: BulkRequest = { v: 1, protocol, ticket: issued?.ticket }
      await control.send(encodeDocument(request))
      const answer = readAnswer(await control.next())
      await control.close()
      if (!answer.ok) return undefined
      if (issued !== undefined) {
        return this.#keep(...accepted(await issued.redeemed, peer, false))
      }
      if (answer.ticket === undefined) {
        throw new ManyhandsError('PROTOCOL', `peer ${peer} agreed to a socket and gave no ticket`)
      }
      const { ticket } = answer
      return this.#keep(...(await dialBulk({ peer, host, ticket, inbound: false, signal })))
    } catch (error) {
      control?.abort(error)
      throw error
    } finally {
      signal.removeEventListener('abort', onAbort)
      issued?.cancel()
    }
  }

  async #letIn(
    control: FrameStream,
    connection: Connection,
    host: string,
    protocol: string,
  ): Promise<void> {
    const peer = connection.remotePeer.toString()
    const issued =
      connection.direction === 'inbound'
        ? await this.#issue(peer, host).catch(() => undefined)
        : undefined
    const answer: BulkAnswer = { ok: issued !== undefined, ticket: issued?.ticket }
    await control.send(encodeDocument(answer))
    if (issued === undefined) return
    const [stream, socket] = accepted(await issued.redeemed, peer, true)
    this.#options.serve(protocol, this.#keep(stream, socket), socket)
  }

  async #comeWith(
    control: FrameStream,
    connection: Connection,
    host: string,
    { ticket, protocol }: BulkRequest,
  ): Promise<void> {
    const peer = connection.remotePeer.toString()
    // Only where we have dialed already: nobody sends us to a third party's ports.
    const dialed =
      connection.direction === 'outbound' && ticket !== undefined
        ? await dialBulk({
            peer,
            host,
            ticket,
            inbound: true,
            signal: AbortSignal.timeout(BULK.setupMs),
          }).catch(() => undefined)
        : undefined
    await control.send(encodeDocument({ ok: dialed !== undefined })).catch((error) => {
      dialed?.[1].destroy()
      throw error
    })
    if (dialed === undefined) return
    const [stream, socket] = dialed
    this.#options.serve(protocol, this.#keep(stream, socket), socket)
  }

  #issue(peer: string, remote: string): Promise<IssuedTicket> {
    const host = reachableHost(remote, this.#options.listening)
    if (host === undefined) {
      throw new ManyhandsError('CONNECT_FAILED', 'we do not listen where the peer could come')
    }
    return this.#door.issue(peer, host)
  }

  #keep(stream: SocketFrameStream, socket: TLSSocket): SocketFrameStream {
    this.#open.set(stream, socket)
    socket.on('close', () => this.#open.delete(stream))
    if (socket.destroyed) this.#open.delete(stream)
    if (this.#closed) stream.cut('the network was closed')
    return stream
  }
}

function accepted(
  socket: TLSSocket,
  peer: string,
  inbound: boolean,
): [SocketFrameStream, TLSSocket] {
  return [acceptBulk(socket, peer, inbound), socket]
}

function readAnswer(frame: Uint8Array | undefined): BulkAnswer {
  if (frame !== undefined) return decodeDocument(bulkAnswerSchema, frame, 'bulk answer')
  throw new ManyhandsError('PROTOCOL', 'the peer did not answer the wish for a socket')
}
