import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls'
import { ManyhandsError } from '../errors.ts'
import { BULK } from './bulk-limits.ts'
import { type BulkTicket, bulkSecureContext } from './bulk-ticket.ts'
import { SocketFrameStream } from './socket-frame-stream.ts'
import { handshake } from './tls-handshake.ts'

export interface BulkDial {
  peer: string
  host: string
  ticket: BulkTicket
  /** The protocol's stream was opened by the peer; we only make the socket. */
  inbound: boolean
  signal: AbortSignal
}

/** Connects with a ticket. @throws when nobody is there, or it is not who gave the ticket */
export async function dialBulk(dial: BulkDial): Promise<[SocketFrameStream, TLSSocket]> {
  const { peer, host, ticket, inbound, signal } = dial
  let stream: SocketFrameStream | undefined
  const options = {
    host,
    port: ticket.port,
    secureContext: bulkSecureContext(),
    pskCallback: () => ({ identity: ticket.id, psk: ticket.key }),
    // Asked only about a certificate, and there must be none.
    checkServerIdentity: () => new ManyhandsError('PROTOCOL', 'the peer did not use the ticket'),
    highWaterMark: BULK.writeBytes,
    // One buffer for all reads: a gigabyte of small ones costs more than its decryption.
    onread: {
      buffer: Buffer.allocUnsafeSlow(BULK.readBytes),
      callback: (length: number, buffer: Uint8Array) => {
        stream?.take(buffer.subarray(0, length))
        return true
      },
    },
  }
  const socket = connect(options as ConnectionOptions)
  socket.on('error', () => {})
  try {
    await handshake(socket, signal)
    if (!socket.isSessionReused()) {
      throw new ManyhandsError('PROTOCOL', 'the peer did not use the ticket')
    }
  } catch (error) {
    socket.destroy()
    throw error
  }
  stream = new SocketFrameStream(socket, { peer, inbound })
  // Reading starts here: with `onread` there is no listener that would start it.
  socket.resume()
  return [stream, socket]
}

/** The stream over a socket that came with a ticket. */
export function acceptBulk(socket: TLSSocket, peer: string, inbound: boolean): SocketFrameStream {
  const stream = new SocketFrameStream(socket, { peer, inbound })
  socket.on('data', (chunk) => stream.take(chunk))
  return stream
}
