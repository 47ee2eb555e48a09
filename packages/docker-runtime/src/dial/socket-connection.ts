import type { Socket } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import { ManyhandsError, type RuntimeConnection } from '@manyhands/core'

/** A connection into a sandbox over a half-open socket: each direction ends by itself. */
export class SocketConnection implements RuntimeConnection {
  readonly #socket: Socket
  readonly #isThere: () => boolean
  #ended = false
  #reset = false

  /** @param isThere - whether the sandbox still lives; its death and a proper end look alike here */
  constructor(socket: Socket, isThere: () => boolean) {
    this.#socket = socket
    this.#isThere = isThere
    socket.once('end', () => {
      this.#ended = true
    })
  }

  /** Its end was none, as the other side has told. What had come before can still be read. */
  reset(): void {
    this.#reset = true
  }

  get readable(): AsyncIterable<Uint8Array> {
    return this.#read()
  }

  async write(bytes: Uint8Array): Promise<void> {
    const socket = this.#socket
    if (socket.destroyed || socket.writableEnded) throw reset()
    if (socket.write(bytes)) return
    await this.#until(['drain', 'close'])
    if (socket.destroyed) throw reset()
  }

  async close(): Promise<void> {
    const socket = this.#socket
    if (socket.destroyed || socket.writableFinished) return
    const finished = this.#until(['finish', 'close'])
    socket.end()
    await finished
  }

  async *#read(): AsyncGenerator<Uint8Array> {
    const socket = this.#socket
    try {
      while (true) {
        const bytes: Buffer | null = socket.read()
        if (bytes !== null) yield bytes
        else if (this.#ended) break
        else if (socket.destroyed) throw reset()
        else await this.#until(['readable', 'end', 'close'])
      }
      // Whatever ended it all was told to us in the same moment: let it arrive.
      for (let round = 0; round < 2; round += 1) await turn()
      if (this.#reset || !this.#isThere()) throw reset()
    } finally {
      if (!this.#ended || this.#reset || !this.#isThere()) socket.destroy()
    }
  }

  #until(events: string[]): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const done = () => {
      for (const event of events) this.#socket.off(event, done)
      resolve()
    }
    for (const event of events) this.#socket.on(event, done)
    return promise
  }
}

function reset(): ManyhandsError {
  return new ManyhandsError('CONNECT_FAILED', 'the connection to the sandbox was reset')
}
