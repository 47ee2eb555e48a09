import { createServer, type Socket } from 'node:net'
import { getSystemErrorMap } from 'node:util'
import { LIMITS, ManyhandsError, type RuntimeConnection } from '@manyhands/core'
import { DirectorySocket } from '../directory-socket.ts'
import { takeByte } from './first-byte.ts'
import { SocketConnection } from './socket-connection.ts'

/** The first process keeps four; a task that opens more gains nothing. */
const WAITING_MAX = 8
/** Of one container, waiting ones included. */
const CONNECTIONS_MAX = 240
/** Dials that wait for a connection at once. */
const QUEUE_MAX = 1024

/**
 * Reaches declared ports of one container. Nothing is ever dialed into it: its first process keeps a
 * few connections to a socket of ours, and a dial tells one of them which port is meant. The task can
 * connect there as well; it then answers for itself, as it does for its ports anyway.
 */
export class Dialer {
  readonly #ports: ReadonlySet<number>
  readonly #waiting: Socket[] = []
  readonly #queue: ((socket: Socket) => void)[] = []
  readonly #closed = new AbortController()
  /**
   * What to do on the word that a connection ended properly, by the number that the first process has
   * for it. A connection that has closed stays: its word may be read after its end. The next one with
   * its number, which is given it only after that word, takes its place.
   */
  readonly #told = new Map<number, () => void>()
  readonly #proper = new WeakMap<Socket, Promise<void>>()
  #presence: Socket | undefined
  #listener: DirectorySocket | undefined

  private constructor(ports: number[]) {
    this.#ports = new Set(ports)
  }

  static async open(directory: string, ports: number[]): Promise<Dialer> {
    const dialer = new Dialer(ports)
    const server = createServer({ allowHalfOpen: true }, (socket) => void dialer.#welcome(socket))
    server.maxConnections = CONNECTIONS_MAX
    dialer.#listener = await DirectorySocket.listen(server, directory, 'dial.sock')
    return dialer
  }

  /** @throws UNSUPPORTED for a port that was not declared, CONNECT_FAILED */
  async dial(port: number, options: { signal?: AbortSignal }): Promise<RuntimeConnection> {
    if (!this.#ports.has(port)) {
      const declared = [...this.#ports].join(', ')
      throw new ManyhandsError('UNSUPPORTED', `port ${port} is not declared (${declared} are)`)
    }
    const late = AbortSignal.timeout(LIMITS.dialTimeoutMs)
    const ends = [late, this.#closed.signal]
    const signal = AbortSignal.any(options.signal === undefined ? ends : [options.signal, ...ends])
    try {
      signal.throwIfAborted()
      const socket = await this.#take(signal)
      const answered = takeByte(socket, signal)
      socket.write(Buffer.from([port >> 8, port & 0xff]))
      const answer = await answered
      if (answer === 0) return new SocketConnection(socket, this.#proper.get(socket)!)
      socket.destroy()
      throw failed(port, getSystemErrorMap().get(-answer)?.[1] ?? `error ${answer}`)
    } catch (error) {
      options.signal?.throwIfAborted()
      if (this.#closed.signal.aborted) throw failed(port, 'it has ended')
      if (error instanceof ManyhandsError) throw error
      throw failed(port, late.aborted ? 'no answer in time' : (error as Error).message)
    }
  }

  async close(): Promise<void> {
    this.#presence = undefined
    this.#closed.abort()
    await this.#listener?.close()
  }

  async #welcome(socket: Socket): Promise<void> {
    socket.on('error', () => socket.destroy())
    try {
      const kind = await takeByte(socket, AbortSignal.timeout(LIMITS.streamHeaderMs))
      if (kind === PRESENCE && this.#presence === undefined) this.#watch(socket)
      else if (kind === WAITING) {
        const number = await takeByte(socket, AbortSignal.timeout(LIMITS.streamHeaderMs))
        const { promise, resolve } = Promise.withResolvers<void>()
        this.#told.set(number, resolve)
        this.#proper.set(socket, promise)
        this.#offer(socket)
      } else socket.destroy()
    } catch {
      socket.destroy()
    }
  }

  /** What it says are the numbers of connections whose other side has said all. */
  #watch(socket: Socket): void {
    this.#presence = socket
    const gone = () => {
      socket.destroy()
      if (this.#presence === socket) this.#presence = undefined
    }
    for (const event of ['end', 'close']) socket.once(event, gone)
    socket.on('data', (bytes: Buffer) => {
      for (const number of bytes) this.#told.get(number)?.()
    })
  }

  #offer(socket: Socket): void {
    const next = this.#queue.shift()
    if (next !== undefined) {
      next(socket)
      return
    }
    if (this.#waiting.length >= WAITING_MAX) {
      socket.destroy()
      return
    }
    this.#waiting.push(socket)
    socket.once('close', () => {
      const at = this.#waiting.indexOf(socket)
      if (at >= 0) this.#waiting.splice(at, 1)
    })
  }

  #take(signal: AbortSignal): Promise<Socket> {
    const ready = this.#waiting.shift()
    if (ready !== undefined) return Promise.resolve(ready)
    if (this.#queue.length >= QUEUE_MAX) {
      throw new ManyhandsError('LIMIT', `more than ${QUEUE_MAX} connections wait for the sandbox`)
    }
    const { promise, resolve, reject } = Promise.withResolvers<Socket>()
    const abort = () => {
      this.#queue.splice(this.#queue.indexOf(take), 1)
      reject(signal.reason)
    }
    const take = (socket: Socket) => {
      signal.removeEventListener('abort', abort)
      resolve(socket)
    }
    signal.addEventListener('abort', abort, { once: true })
    this.#queue.push(take)
    return promise
  }
}

const PRESENCE = 'P'.charCodeAt(0)
const WAITING = 'W'.charCodeAt(0)

function failed(port: number, why: string): ManyhandsError {
  return new ManyhandsError('CONNECT_FAILED', `port ${port} of the sandbox: ${why}`)
}
