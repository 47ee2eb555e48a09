import type { Socket } from 'node:net'
import { setTimeout as delay, setImmediate as turn } from 'node:timers/promises'
import { ManyhandsError, type RuntimeConnection } from '@manyhands/core'

/** How long an end waits for the word that it is a proper one. */
const END_TOLD_MS = 100

/** A connection into a sandbox over a half-open socket: each direction ends by itself. */
export class SocketConnection implements RuntimeConnection {
  readonly #socket: Socket
  readonly #proper: Promise<true>
  #ended = false

  /** Its end is a proper one only if `proper` resolves: a reset and a kill look the same from here. */
  constructor(socket: Socket, proper: Promise<void>) {
    this.#socket = socket
    this.#proper = proper.then(() => true)
    socket.once('end', () => {
      this.#ended = true
    })
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
    let proper = false
    try {
      while (true) {
        const bytes: Buffer | null = socket.read()
        if (bytes !== null) yield bytes
        else if (this.#ended) break
        else if (socket.destroyed) throw reset()
        else await this.#until(['readable', 'end', 'close'])
      }
      // It was told before the end, by another socket, of which we may hear a moment later.
      // The turn after it lets in what has come while this process was busy.
      const told = delay(END_TOLD_MS, undefined, { ref: false }).then(() => turn())
      proper = (await Promise.race([this.#proper, told])) === true
      if (!proper) throw reset()
    } finally {
      if (!proper) socket.destroy()
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
