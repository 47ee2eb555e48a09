import { createServer, type Server, type Socket } from 'node:net'
import { ManyhandsError } from '@manyhands/core'
import { DirectorySocket } from '../directory-socket.ts'
import { PacedReading } from '../paced-reading.ts'
import {
  NewsReader,
  orderFrame,
  type ProgramNews,
  type ProgramOrder,
  signalFrame,
} from './program-frames.ts'

const SOCKET = 'host.sock'

/**
 * The connection over which the first process of a warm container takes its orders. It is made by that
 * process before any other exists there; after it no other is taken, so that nothing in the sandbox can
 * speak as either side.
 */
export class ProgramLink {
  readonly #server: Server
  readonly #here = Promise.withResolvers<void>()
  readonly #gone = Promise.withResolvers<void>()
  #listener: DirectorySocket | undefined
  #socket: Socket | undefined
  #reading: PacedReading | undefined
  #hear: ((news: ProgramNews) => void) | undefined

  private constructor() {
    this.#server = createServer((socket) => this.#take(socket))
    // Nobody may wait for it.
    this.#here.promise.catch(() => {})
  }

  /** @param directory - what the container has at /.manyhands */
  static async listen(directory: string): Promise<ProgramLink> {
    const link = new ProgramLink()
    link.#listener = await DirectorySocket.listen(link.#server, directory, SOCKET)
    return link
  }

  /**
   * Resolves when the first process is there. When its container ends before, `why` is to throw the reason.
   *
   * @throws RUNTIME_FAILED when it throws none
   */
  async awaited(end: Promise<unknown>, why: () => Promise<void>): Promise<void> {
    const ended = end.then(() => true)
    if (!(await Promise.race([this.#here.promise.then(() => false), ended]))) return
    await why()
    throw new ManyhandsError('RUNTIME_FAILED', 'the warm sandbox ended before its first task')
  }

  /** Settles when the connection has ended, whoever ended it. */
  get gone(): Promise<void> {
    return this.#gone.promise
  }

  /** Starts a program; `hear` is told all that there is to tell of it. @throws COMMAND_INVALID */
  order(program: ProgramOrder, hear: (news: ProgramNews) => void): void {
    const frame = orderFrame(program)
    this.#hear = hear
    this.#reading?.renew()
    this.#socket?.write(frame)
  }

  signal(signal: number): void {
    this.#socket?.write(signalFrame(signal))
  }

  /** Nothing waits for a reader any more that is late: the container ends. */
  hurry(): void {
    void this.#reading?.rest()
  }

  /** Ends the connection, upon which the first process ends everything in its container. */
  async close(): Promise<void> {
    this.#here.reject(new ManyhandsError('CLOSED', 'the sandbox was closed'))
    await this.#listener?.close()
    this.#socket?.destroy()
    if (this.#socket === undefined) this.#gone.resolve()
  }

  #take(socket: Socket): void {
    if (this.#socket !== undefined) {
      socket.destroy()
      return
    }
    this.#socket = socket
    // Before anything else runs there.
    void this.#listener?.stopListening()
    socket.unref()
    socket.on('error', () => socket.destroy())
    const reader = new NewsReader()
    this.#reading = new PacedReading(socket, (bytes) => {
      try {
        const news = reader.push(bytes)
        for (const one of news) this.#tell(one)
        return news.filter(({ kind }) => kind === 'output').length
      } catch {
        socket.destroy()
        return 0
      }
    })
    for (const end of ['end', 'close']) {
      socket.once(end, () => {
        socket.destroy()
        this.#gone.resolve()
      })
    }
  }

  #tell(news: ProgramNews): void {
    if (news.kind === 'here') this.#here.resolve()
    else this.#hear?.(news)
  }
}
