import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect as connectPlain } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { dialBulk } from '../../src/network/bulk-dial.ts'
import { BulkDoor } from '../../src/network/bulk-door.ts'
import { BULK } from '../../src/network/bulk-limits.ts'
import type { BulkTicket } from '../../src/network/bulk-ticket.ts'

const HOST = '127.0.0.1'

let doors: BulkDoor[] = []
afterEach(async () => {
  await Promise.all(doors.map((door) => door.close()))
  doors = []
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
