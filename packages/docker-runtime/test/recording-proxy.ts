import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, request as httpRequest, type IncomingMessage, type Server } from 'node:http'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'

/** One request that the engine was sent. */
export interface Recorded {
  method: string
  /** Without its query and the version of the interface before it: `/containers/ID/start`. */
  path: string
  query: string
  body: string
}

/**
 * A unix socket in front of the engine's that writes down all that is asked, also on connections that
 * are taken over for a container's streams. What follows a takeover is passed on unread.
 */
export class RecordingProxy implements AsyncDisposable {
  readonly socketPath: string
  readonly recorded: Recorded[] = []
  /** What the engine is made to say instead of creating a container with this body. */
  refusesToCreate: (body: string) => string | undefined = () => undefined
  readonly #directory: string
  readonly #engine: string
  readonly #server: Server
  readonly #sockets = new Set<Duplex>()

  private constructor(directory: string, engine: string) {
    this.#directory = directory
    this.#engine = engine
    this.socketPath = join(directory, 'docker.sock')
    this.#server = createServer((asked, answer) => {
      const entry = this.#record(asked)
      asked.on('data', (bytes: Buffer) => {
        entry.body += bytes.toString('latin1')
      })
      const onwards = this.#ask(asked)
      answer.on('close', () => onwards.destroy())
      onwards.on('response', (found) => {
        answer.writeHead(found.statusCode ?? 500, found.headers)
        // An attach answers long before its first byte.
        answer.flushHeaders()
        found.pipe(answer)
        found.on('error', () => answer.destroy())
      })
      onwards.on('error', () => answer.destroy())
      if (!entry.path.endsWith('/containers/create')) {
        asked.pipe(onwards)
        return
      }
      asked.on('end', () => {
        const message = this.refusesToCreate(entry.body)
        if (message === undefined) onwards.end(Buffer.from(entry.body, 'latin1'))
        else answer.writeHead(400).end(JSON.stringify({ message }))
      })
    })
    this.#server.on('upgrade', (asked, client, head) => this.#takeOver(asked, client, head))
    this.#server.on('connection', (socket: Socket) => this.#keep(socket))
  }

  static async open(engine = '/var/run/docker.sock'): Promise<RecordingProxy> {
    const proxy = new RecordingProxy(await mkdtemp(join(tmpdir(), 'manyhands-proxy-')), engine)
    await new Promise<void>((resolve) => proxy.#server.listen(proxy.socketPath, resolve))
    return proxy
  }

  #record(asked: IncomingMessage): Recorded {
    const [path = '', query = ''] = (asked.url ?? '').split('?')
    const entry = {
      method: asked.method ?? '',
      path: path.replace(/^\/v1\.\d+/, ''),
      query,
      body: '',
    }
    this.recorded.push(entry)
    return entry
  }

  #ask(asked: IncomingMessage) {
    const { method, url: path, headers } = asked
    return httpRequest({ socketPath: this.#engine, method, path, headers, agent: false })
  }

  #takeOver(asked: IncomingMessage, client: Duplex, head: Buffer): void {
    this.#record(asked)
    const onwards = this.#ask(asked)
    onwards.on('upgrade', (answer, engine, first) => {
      this.#keep(engine)
      const lines = [`HTTP/1.1 ${answer.statusCode} ${answer.statusMessage}`]
      for (const [name, value] of Object.entries(answer.headers)) lines.push(`${name}: ${value}`)
      client.write(`${lines.join('\r\n')}\r\n\r\n`)
      if (first.length > 0) client.write(first)
      if (head.length > 0) engine.write(head)
      client.pipe(engine).pipe(client)
      client.on('close', () => engine.destroy())
      engine.on('close', () => client.destroy())
    })
    // A refusal is an ordinary answer.
    onwards.on('response', (answer) => {
      client.write(`HTTP/1.1 ${answer.statusCode} ${answer.statusMessage}\r\n`)
      client.write('connection: close\r\n\r\n')
      answer.pipe(client)
    })
    onwards.on('error', () => client.destroy())
    onwards.end()
  }

  #keep(socket: Duplex): void {
    this.#sockets.add(socket)
    socket.on('close', () => this.#sockets.delete(socket))
    socket.on('error', () => socket.destroy())
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve))
    for (const socket of this.#sockets) socket.destroy()
    await closed
    await rm(this.#directory, { recursive: true, force: true })
  }
}
