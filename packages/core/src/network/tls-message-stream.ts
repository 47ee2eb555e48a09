import { once } from 'node:events'
import type { TLSSocket } from 'node:tls'
import type { AbortOptions, MultiaddrConnection } from '@libp2p/interface'
import { AbstractMessageStream, type SendResult } from '@libp2p/utils'
import type { Uint8ArrayList } from 'uint8arraylist'

/** The plain side of a TLS socket that runs on a connection's own socket. */
export class TlsMessageStream extends AbstractMessageStream {
  readonly #connection: MultiaddrConnection
  readonly #socket: TLSSocket

  constructor(connection: MultiaddrConnection, socket: TLSSocket) {
    super({
      log: connection.log,
      direction: connection.direction,
      inactivityTimeout: connection.inactivityTimeout,
      maxReadBufferLength: connection.maxReadBufferLength,
    })
    this.#connection = connection
    this.#socket = socket
    // Closing the connection must end TLS first, or what TLS still holds is lost.
    const closable = connection as MultiaddrConnection & { sendClose(): Promise<void> }
    closable.sendClose = () => this.#end()
    socket.on('data', (chunk) => this.onData(chunk))
    socket.on('drain', () => this.safeDispatchEvent('drain'))
    socket.on('error', (error) => connection.abort(error))
    connection.addEventListener('close', (event) => {
      socket.destroy()
      if (event.error === undefined) this.onTransportClosed()
      else if (event.local) this.abort(event.error)
      else this.onRemoteReset()
    })
  }

  async close(options?: AbortOptions): Promise<void> {
    await this.#connection.close(options)
  }

  sendData(data: Uint8ArrayList): SendResult {
    this.#socket.cork()
    for (const chunk of data) this.#socket.write(chunk)
    this.#socket.uncork()
    return { sentBytes: data.byteLength, canSendMore: !this.#socket.writableNeedDrain }
  }

  sendReset(error: Error): void {
    this.#socket.destroy()
    this.#connection.abort(error)
  }

  sendPause(): void {
    this.#socket.pause()
  }

  sendResume(): void {
    this.#socket.resume()
  }

  async #end(): Promise<void> {
    if (this.#socket.closed) return
    const closed = once(this.#socket, 'close')
    this.#socket.destroySoon()
    await closed
  }
}
