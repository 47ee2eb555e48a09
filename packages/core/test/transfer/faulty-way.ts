import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { decodeDocument, encodeDocument, type FrameStream, type Network } from '@manyhands/core'
import { onTestFinished } from 'vitest'
import { bulkAnswerSchema } from '../../src/network/bulk-messages.ts'
import { PROTOCOLS } from '../../src/wire/protocols.ts'

const HOST = '127.0.0.1'

/** What happens once so many bytes have come from the peer, over whatever connection of the way. */
export interface Fault {
  at: number
  /** The byte at that place has one bit flipped, all connections are cut, or something else is done. */
  act: 'flip' | 'cut' | (() => void)
}

/**
 * All TCP between a peer and us: its connection, and the side sockets that it gives tickets for. Everything
 * passes as it is, below the encryption, until the fault.
 */
export interface FaultyWay {
  /** Bytes that have come from the peer since the last {@link fail}. */
  readonly passed: number
  /** Whether the fault has happened. */
  readonly struck: boolean
  /** Counts anew, up to a fault; undefined: nothing happens. */
  fail(fault: Fault | undefined): void
  /** The way to a port of this computer. */
  through(port: number): Promise<number>
  close(): Promise<void>
}

export function faultyWay(): FaultyWay {
  const way = new TcpWay()
  onTestFinished(() => way.close())
  return way
}

class TcpWay implements FaultyWay {
  passed = 0
  struck = false
  #fault: Fault | undefined
  readonly #ports = new Map<number, Promise<Server>>()
  readonly #sockets = new Set<Socket>()

  fail(fault: Fault | undefined): void {
    this.#fault = fault
    this.passed = 0
    this.struck = false
  }

  async through(port: number): Promise<number> {
    let listening = this.#ports.get(port)
    if (listening === undefined) {
      const server = createServer((near) => this.#join(near, connect(port, HOST)))
      listening = once(server.listen(0, HOST), 'listening').then(() => server)
      this.#ports.set(port, listening)
    }
    return ((await listening).address() as AddressInfo).port
  }

  async close(): Promise<void> {
    this.#cut()
    for (const listening of this.#ports.values()) (await listening).close()
    this.#ports.clear()
  }

  #join(near: Socket, far: Socket): void {
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#sockets.add(socket)
      socket.setNoDelay(true)
      socket.on('error', () => {})
      socket.on('end', () => other.end())
      socket.on('close', () => {
        this.#sockets.delete(socket)
        other.destroy()
      })
      socket.on('drain', () => other.resume())
    }
    near.on('data', (bytes) => pass(bytes, near, far))
    far.on('data', (bytes) => pass(this.#strike(bytes), far, near))
  }

  #strike(bytes: Buffer): Buffer {
    const from = this.passed
    this.passed += bytes.length
    const fault = this.#fault
    if (fault === undefined || this.struck || this.passed <= fault.at) return bytes
    this.struck = true
    const place = fault.at - from
    if (fault.act === 'flip') bytes[place] = bytes[place]! ^ (1 << (fault.at & 7))
    else if (fault.act !== 'cut') fault.act()
    else {
      // What came before that byte is on its way; nothing after it.
      setImmediate(() => this.#cut())
      return bytes.subarray(0, place)
    }
    return bytes
  }

  #cut(): void {
    for (const socket of this.#sockets) socket.destroy()
  }
}

function pass(bytes: Buffer, from: Socket, to: Socket): void {
  if (!to.destroyed && !to.write(bytes)) from.pause()
}

/** The address of a peer, by the way. */
export async function byWay(address: string, way: FaultyWay): Promise<string> {
  const port = Number(/\/tcp\/(\d+)/.exec(address)![1])
  return address.replace(`/tcp/${port}`, `/tcp/${await way.through(port)}`)
}

/** A network whose side sockets, too, go by the way, where the peer gives the ticket. */
export function networkByWay(network: Network, way: FaultyWay): Network {
  return overlay(network, {
    openStream: async (peer: string, protocol: string, options?: { signal?: AbortSignal }) => {
      const stream = await network.openStream(peer, protocol, options)
      if (protocol !== PROTOCOLS.bulk) return stream
      return overlay<FrameStream>(stream, {
        next: async () => {
          const frame = await stream.next()
          if (frame === undefined) return undefined
          const answer = decodeDocument(bulkAnswerSchema, frame, 'bulk answer')
          if (answer.ticket === undefined) return frame
          const port = await way.through(answer.ticket.port)
          return encodeDocument({ ...answer, ticket: { ...answer.ticket, port } })
        },
      })
    },
  })
}

/** The object with some members replaced. */
export function overlay<Target extends object>(
  target: Target,
  members: Partial<Record<keyof Target, unknown>>,
): Target {
  return new Proxy(target, {
    get: (_, key) => {
      if (Object.hasOwn(members, key)) return members[key as keyof Target]
      const value = Reflect.get(target, key, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}
