import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect as connectPlain } from 'node:net'
import type { FrameStream, Network } from '@manyhands/core'
import { afterEach, describe, expect, it } from 'vitest'
import { dialBulk } from '../../src/network/bulk-dial.ts'
import { BulkDoor } from '../../src/network/bulk-door.ts'
import { BULK } from '../../src/network/bulk-limits.ts'
import type { BulkTicket } from '../../src/network/bulk-ticket.ts'
import { SocketFrameStream } from '../../src/network/socket-frame-stream.ts'
import { addressOf, Networks } from './networks.ts'

const PROTOCOL = '/test/bulk/1'
const HOST = '127.0.0.1'

let networks = new Networks()
let doors: BulkDoor[] = []
afterEach(async () => {
  await networks[Symbol.asyncDispose]()
  await Promise.all(doors.map((door) => door.close()))
  networks = new Networks()
  doors = []
})

/** Answers every stream by sending back what comes, to its end. */
async function echo(network: Network): Promise<{ streams: FrameStream[] }> {
  const streams: FrameStream[] = []
  await network.handleStream(PROTOCOL, async (stream) => {
    streams.push(stream)
    for await (const frame of stream) await stream.send(frame)
    await stream.close()
  })
  return { streams }
}

async function exchange(stream: FrameStream, frames: Uint8Array[]): Promise<Uint8Array> {
  const received: Uint8Array[] = []
  const reading = (async () => {
    for await (const frame of stream) received.push(frame.slice())
  })()
  for (const frame of frames) await stream.send(frame)
  await stream.close()
  await reading
  return Buffer.concat(received)
}

async function connected(): Promise<{ host: Network; client: Network }> {
  const host = await networks.host()
  const client = await networks.add()
  const seen = once(host, 'peer:connect')
  await client.connect(addressOf(host))
  await seen
  return { host, client }
}

describe('a bulk stream', () => {
  it.each(['dials', 'was dialed'])('carries bytes whole where its opener %s', async (opener) => {
    const { host, client } = await connected()
    const [from, to] = opener === 'dials' ? [client, host] : [host, client]
    const { streams } = await echo(to)
    const stream = await from.openStream(to.peerId, PROTOCOL, { bulk: true })
    // Else this test would only see the ordinary way.
    expect(stream).toBeInstanceOf(SocketFrameStream)
    const frames = Array.from({ length: 40 }, () => randomBytes(256 * 1024))
    expect(Buffer.compare(await exchange(stream, frames), Buffer.concat(frames))).toBe(0)
    expect(streams[0]?.peer).toBe(from.peerId)
  })

  it('makes its sender wait for a slow reader', async () => {
    const { host, client } = await connected()
    const opened = Promise.withResolvers<FrameStream>()
    const end = Promise.withResolvers<void>()
    await host.handleStream(PROTOCOL, async (stream) => {
      opened.resolve(stream)
      await end.promise
    })
    const stream = await client.openStream(host.peerId, PROTOCOL, { bulk: true })
    let sent = 0
    const frame = new Uint8Array(1024 * 1024)
    const sending = (async () => {
      while (sent < 256) {
        await stream.send(frame)
        sent += 1
      }
    })().catch(() => {})
    await opened.promise
    let before = -1
    while (before !== sent) {
      before = sent
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
    expect(sent).toBeLessThan(64)
    stream.abort()
    end.resolve()
    await sending
  })

  it('tells the other side when it is aborted, and ends with the connection', async () => {
    const { host, client } = await connected()
    const ended = Promise.withResolvers<unknown>()
    await host.handleStream(PROTOCOL, async (stream) => {
      try {
        while ((await stream.next()) !== undefined) await stream.send(new Uint8Array(1))
      } catch (error) {
        ended.resolve(error)
      }
    })
    const first = await client.openStream(host.peerId, PROTOCOL, { bulk: true })
    await first.send(new Uint8Array(1))
    await first.next()
    first.abort()
    expect(await ended.promise).toMatchObject({ code: 'PEER_GONE' })

    const second = await client.openStream(host.peerId, PROTOCOL, { bulk: true })
    await host.disconnect(client.peerId)
    await expect(second.next()).rejects.toMatchObject({ code: 'PEER_GONE' })
  })

  it('goes the ordinary way over websockets', async () => {
    const host = await networks.host({ listen: ['/ip4/127.0.0.1/tcp/0/ws'] })
    const client = await networks.add()
    await client.connect(addressOf(host))
    await echo(host)
    const stream = await client.openStream(host.peerId, PROTOCOL, { bulk: true })
    expect(stream).not.toBeInstanceOf(SocketFrameStream)
    expect(Buffer.from(await exchange(stream, [Buffer.from('hello')])).toString()).toBe('hello')
  })
})

describe('the door', () => {
  async function issue(peer = 'a') {
    const door = new BulkDoor()
    doors.push(door)
    return { door, issued: await door.issue(peer, HOST) }
  }
  const dial = (ticket: BulkTicket) =>
    dialBulk({ peer: 'b', host: HOST, ticket, inbound: false, signal: AbortSignal.timeout(1500) })

  it('lets in who shows a ticket, once', async () => {
    const { issued } = await issue()
    const [stream, socket] = await dial(issued.ticket)
    expect((await issued.redeemed).remoteAddress).toContain(HOST)
    await expect(dial(issued.ticket)).rejects.toThrow()
    stream.abort()
    socket.destroy()
    ;(await issued.redeemed).destroy()
  })

  it('gives nothing to a wrong key or an unknown ticket, and the right one still holds', async () => {
    const { issued } = await issue()
    await expect(dial({ ...issued.ticket, key: randomBytes(32) })).rejects.toThrow()
    await expect(dial({ ...issued.ticket, id: '0'.repeat(32) })).rejects.toThrow()
    const [stream, socket] = await dial(issued.ticket)
    ;(await issued.redeemed).destroy()
    stream.abort()
    socket.destroy()
  })

  it('drops who says nothing, and takes a bounded number of those', async () => {
    const { issued } = await issue()
    const strangers = await Promise.all(
      Array.from({ length: BULK.handshakes + 8 }, async () => {
        const socket = connectPlain(issued.ticket.port, HOST)
        socket.on('error', () => {})
        const closed = once(socket, 'close')
        await once(socket, 'connect')
        return { socket, closed }
      }),
    )
    // Those beyond the limit go at once, the others when their time is over.
    await Promise.race(strangers.slice(-8).map(({ closed }) => closed))
    await Promise.all(strangers.map(({ closed }) => closed))
    issued.cancel()
  })

  it('has a bounded number of tickets out, of all peers and of one', async () => {
    const { door } = await issue()
    for (let n = 1; n < BULK.ticketsPerPeer; n += 1) await door.issue('a', HOST)
    await expect(door.issue('a', HOST)).rejects.toMatchObject({ code: 'LIMIT' })
    const other = await door.issue('b', HOST)
    other.cancel()
    await expect(other.redeemed).rejects.toMatchObject({ code: 'CANCELED' })
  })

  it('takes tickets back from a peer that is gone, and listens nowhere after its end', async () => {
    const { door, issued } = await issue()
    door.revoke('a')
    await expect(issued.redeemed).rejects.toMatchObject({ code: 'PEER_GONE' })
    await expect(dial(issued.ticket)).rejects.toThrow()
    await door.close()
    expect(await door.ports()).toEqual([])
    const refused = connectPlain(issued.ticket.port, HOST)
    const [error] = await once(refused, 'error')
    expect(error).toMatchObject({ code: 'ECONNREFUSED' })
    await expect(async () => door.issue('a', HOST)).rejects.toMatchObject({ code: 'CLOSED' })
  })
})
