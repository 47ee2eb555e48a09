import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { type SecureContext, TLSSocket, type TLSSocketOptions } from 'node:tls'
import { ManyhandsError } from '../errors.ts'
import { BULK } from './bulk-limits.ts'
import {
  type BulkTicket,
  bulkSecureContext,
  TICKET_ID_BYTES,
  TICKET_KEY_BYTES,
} from './bulk-ticket.ts'
import { handshake } from './tls-handshake.ts'

/** A ticket on the side that gave it. */
export interface IssuedTicket {
  ticket: BulkTicket
  /** The socket of who came with it. @throws TIMEOUT, CANCELED, CLOSED */
  redeemed: Promise<TLSSocket>
  /** Nobody may come with it any more. */
  cancel(): void
}

interface Waiting {
  peer: string
  key: Uint8Array
  settle(outcome: TLSSocket | ManyhandsError): void
}

/**
 * Where peers come with tickets. It listens only while tickets are out, on a port of the kernel's
 * choice, and knows nothing but tickets: a connection that shows none in time is dropped.
 */
export class BulkDoor {
  readonly #tickets = new Map<string, Waiting>()
  readonly #handshakes = new Set<Socket>()
  readonly #servers = new Map<string, Promise<Server>>()
  #idle: NodeJS.Timeout | undefined
  #secureContext: SecureContext | undefined
  #closed = false

  /** Ports it listens on now. */
  async ports(): Promise<number[]> {
    const servers = await Promise.all(this.#servers.values())
    return servers.map((server) => (server.address() as AddressInfo).port)
  }

  /** Lets one peer in, once. @throws LIMIT; CLOSED; what listening throws */
  async issue(peer: string, host: string): Promise<IssuedTicket> {
    const ofPeer = [...this.#tickets.values()].filter((waiting) => waiting.peer === peer).length
    if (ofPeer >= BULK.ticketsPerPeer || this.#tickets.size >= BULK.tickets) {
      throw new ManyhandsError('LIMIT', `too many tickets for bulk sockets are out (${ofPeer})`)
    }
    const id = randomBytes(TICKET_ID_BYTES).toString('hex')
    const key = randomBytes(TICKET_KEY_BYTES)
    const { promise, resolve, reject } = Promise.withResolvers<TLSSocket>()
    // It is waited for later, or by nobody when the peer could not be told.
    promise.catch(() => {})
    const settle = (outcome: TLSSocket | ManyhandsError): void => {
      clearTimeout(timer)
      this.#tickets.delete(id)
      this.#closeWhenIdle()
      if (outcome instanceof TLSSocket) resolve(outcome)
      else reject(outcome)
    }
    const timer = setTimeout(() => {
      settle(new ManyhandsError('TIMEOUT', `peer ${peer} did not come with its ticket`))
    }, BULK.ticketMs).unref()
    this.#tickets.set(id, { peer, key, settle })
    clearTimeout(this.#idle)
    const cancel = () => settle(new ManyhandsError('CANCELED', 'the ticket was taken back'))
    try {
      const server = await this.#listen(host)
      const { port } = server.address() as AddressInfo
      return { ticket: { id, key, port }, redeemed: promise, cancel }
    } catch (error) {
      cancel()
      throw error
    }
  }

  /** Takes the tickets of a peer back. */
  revoke(peer: string): void {
    const error = new ManyhandsError('PEER_GONE', `peer ${peer} is gone`)
    for (const waiting of [...this.#tickets.values()]) {
      if (waiting.peer === peer) waiting.settle(error)
    }
  }

  /** Sockets that were handed out are their takers' business. */
  async close(): Promise<void> {
    this.#closed = true
    const error = new ManyhandsError('CLOSED', 'the network was closed')
    for (const waiting of [...this.#tickets.values()]) waiting.settle(error)
    clearTimeout(this.#idle)
    for (const socket of this.#handshakes) socket.destroy()
    await this.#stopListening()
  }

  #listen(host: string): Promise<Server> {
    if (this.#closed) throw new ManyhandsError('CLOSED', 'the network was closed')
    let listening = this.#servers.get(host)
    if (listening === undefined) {
      const server = createServer((socket) => this.#admit(socket)).unref()
      listening = once(server.listen(0, host), 'listening').then(() => server)
      this.#servers.set(host, listening)
      listening.catch(() => this.#servers.delete(host))
    }
    return listening
  }

  #closeWhenIdle(): void {
    if (this.#tickets.size > 0 || this.#closed) return
    clearTimeout(this.#idle)
    this.#idle = setTimeout(() => void this.#stopListening(), BULK.idleMs).unref()
  }

  async #stopListening(): Promise<void> {
    const servers = await Promise.allSettled(this.#servers.values())
    if (this.#tickets.size > 0) return
    this.#servers.clear()
    for (const server of servers) if (server.status === 'fulfilled') server.value.close()
  }

  #admit(raw: Socket): void {
    raw.on('error', () => {})
    if (this.#tickets.size === 0 || this.#handshakes.size >= BULK.handshakes) {
      raw.destroy()
      return
    }
    let shown: string | undefined
    this.#secureContext ??= bulkSecureContext()
    const socket = new TLSSocket(raw, {
      isServer: true,
      secureContext: this.#secureContext,
      highWaterMark: BULK.writeBytes,
      pskCallback: (_: TLSSocket, id: string) => {
        shown = id
        return this.#tickets.get(id)?.key ?? null
      },
    } as TLSSocketOptions)
    socket.on('error', () => {})
    this.#handshakes.add(raw)
    const settled = (): void => {
      clearTimeout(timer)
      this.#handshakes.delete(raw)
    }
    const timer = setTimeout(() => raw.destroy(), BULK.setupMs).unref()
    handshake(socket, undefined)
      .then(() => {
        settled()
        // Only now it is used up: a stranger who saw the id cannot burn it. Of two, the first counts.
        const waiting = shown === undefined ? undefined : this.#tickets.get(shown)
        if (waiting === undefined) socket.destroy()
        else waiting.settle(socket)
      })
      .catch(() => {
        settled()
        socket.destroy()
        raw.destroy()
      })
  }
}
