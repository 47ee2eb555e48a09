import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { DirectorySocket } from '../directory-socket.ts'
import type { AddressPolicy } from './address-policy.ts'
import {
  connectTo,
  DestinationError,
  type Resolve,
  systemResolve,
} from './destination-connector.ts'
import { EGRESS_LIMITS } from './egress-limits.ts'
import { type Destination, EgressRules, parseDestination } from './egress-rules.ts'

/** Meant for the next hop, not for the destination. */
const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

/**
 * The only way out of one container: an HTTP proxy on a unix socket, for the destinations of its
 * allow-list. What goes through a tunnel is not looked into.
 */
export class EgressProxy {
  readonly #rules: EgressRules
  readonly #policy: AddressPolicy
  readonly #resolve: Resolve
  /** Connections to destinations; what closed ones carried is in the sums. */
  readonly #outside = new Set<Socket>()
  #received = 0
  #sent = 0
  #listener: DirectorySocket | undefined

  private constructor(entries: string[], policy: AddressPolicy, resolve: Resolve) {
    this.#rules = new EgressRules(entries)
    this.#policy = policy
    this.#resolve = resolve
  }

  /** @throws SPEC_INVALID for an entry that is no destination */
  static async open(
    directory: string,
    entries: string[],
    policy: AddressPolicy,
    resolve: Resolve = systemResolve,
  ): Promise<EgressProxy> {
    const proxy = new EgressProxy(entries, policy, resolve)
    const server = createServer({
      maxHeaderSize: EGRESS_LIMITS.headerBytes,
      headersTimeout: EGRESS_LIMITS.headerMs,
      requestTimeout: 0,
      keepAliveTimeout: EGRESS_LIMITS.headerMs,
      connectionsCheckingInterval: EGRESS_LIMITS.headerMs / 2,
    })
    server.maxConnections = EGRESS_LIMITS.connections
    server.setTimeout(EGRESS_LIMITS.idleMs)
    server.on('request', (asked, answer) => void proxy.#forward(asked, answer))
    server.on('connect', (asked, inside, head) => void proxy.#tunnel(asked, inside, head))
    server.on('clientError', (_, inside) => refuse(inside, 400, 'this is not HTTP'))
    proxy.#listener = await DirectorySocket.listen(server, directory, 'egress.sock')
    return proxy
  }

  /** Bytes from and to destinations. */
  traffic(): { in: number; out: number } {
    const total = { in: this.#received, out: this.#sent }
    for (const socket of this.#outside) {
      total.in += socket.bytesRead
      total.out += socket.bytesWritten
    }
    return total
  }

  async close(): Promise<void> {
    for (const socket of this.#outside) socket.destroy()
    await this.#listener?.close()
  }

  async #tunnel(asked: IncomingMessage, inside: Duplex, head: Buffer): Promise<void> {
    inside.on('error', () => inside.destroy())
    try {
      const outside = await this.#connect(parseDestination(asked.url ?? ''))
      if (inside.destroyed) {
        outside.destroy()
        return
      }
      inside.write('HTTP/1.1 200 Connection Established\r\n\r\n')
      if (head.length > 0) outside.write(head)
      // Each way ends by itself; an error of one ends both.
      const ways = [pipeline(inside, outside), pipeline(outside, inside)]
      await Promise.all(ways).catch(() => {})
      outside.destroy()
      inside.destroy()
    } catch (error) {
      refuse(inside, statusOf(error), messageOf(error))
    }
  }

  async #forward(asked: IncomingMessage, answer: ServerResponse): Promise<void> {
    try {
      const url = URL.canParse(asked.url ?? '') ? new URL(asked.url!) : undefined
      if (url?.protocol !== 'http:') {
        throw new DestinationError(403, 'a proxy is asked for http://… or by CONNECT')
      }
      const outside = await this.#connect(parseDestination(url.host, 80))
      const headers = passedOn(asked)
      headers['host'] = [url.host]
      headers['connection'] = ['close']
      if (asked.headers['transfer-encoding'] !== undefined) {
        headers['transfer-encoding'] = ['chunked']
      }
      const forwarded = request({
        method: asked.method,
        path: `${url.pathname}${url.search}`,
        headers: headers as never,
        setHost: false,
        createConnection: () => outside,
      })
      forwarded.once('response', (response) => {
        answer.writeHead(
          response.statusCode ?? 502,
          response.statusMessage,
          passedOn(response) as never,
        )
        pipeline(response, answer).catch(() => outside.destroy())
      })
      answer.once('close', () => outside.destroy())
      const failed = new Promise<never>((_, reject) => forwarded.once('error', reject))
      failed.catch(() => {})
      await Promise.race([pipeline(asked, forwarded), failed])
      await Promise.race([new Promise((resolve) => answer.once('close', resolve)), failed])
    } catch (error) {
      if (answer.headersSent) answer.destroy()
      else answer.writeHead(statusOf(error), { connection: 'close' }).end(`${messageOf(error)}\n`)
    }
  }

  async #connect(destination: Destination | undefined): Promise<Socket> {
    if (destination === undefined) throw new DestinationError(403, 'this names no destination')
    if (!this.#rules.allows(destination)) {
      const { host, port } = destination
      throw new DestinationError(403, `${host}:${port} is not on the job's list`)
    }
    const socket = await connectTo(destination, this.#policy, this.#resolve)
    this.#outside.add(socket)
    socket.on('error', () => socket.destroy())
    socket.setTimeout(EGRESS_LIMITS.idleMs, () => socket.destroy())
    socket.once('close', () => {
      this.#outside.delete(socket)
      this.#received += socket.bytesRead
      this.#sent += socket.bytesWritten
    })
    return socket
  }
}

function passedOn(message: IncomingMessage): Record<string, string[]> {
  const named = (message.headers.connection ?? '').toLowerCase().split(/\s*,\s*/)
  return Object.fromEntries(
    Object.entries(message.headersDistinct).filter(
      (entry): entry is [string, string[]] =>
        entry[1] !== undefined && !HOP_BY_HOP.has(entry[0]) && !named.includes(entry[0]),
    ),
  )
}

function statusOf(error: unknown): number {
  return error instanceof DestinationError ? error.httpStatus : 502
}

function messageOf(error: unknown): string {
  return `manyhands: ${error instanceof Error ? error.message : 'failed'}`
}

function refuse(inside: Duplex, status: number, message: string): void {
  if (inside.destroyed || !inside.writable) return
  const body = `${message}\n`
  const length = Buffer.byteLength(body)
  inside.end(
    `HTTP/1.1 ${status} Refused\r\nconnection: close\r\ncontent-type: text/plain\r\ncontent-length: ${length}\r\n\r\n${body}`,
  )
}
