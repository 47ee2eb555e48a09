import { mkdtemp, rm } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { RuntimeConnection } from '@manyhands/core'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { Dialer } from '../src/dial/dialer.ts'

/** What a read takes at most: a full one is followed by another before anything else is heard. */
const FULL = 65_536
const NUMBER = 7

let directory: string
let dialer: Dialer
/** The part of a first process is played here. */
let presence: Socket

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'manyhands-dial-'))
  dialer = await Dialer.open(directory, [8080])
  presence = await said(Buffer.from('P'))
})
afterEach(async () => {
  presence.destroy()
  await dialer.close()
  await rm(directory, { recursive: true, force: true })
})

async function said(hello: Buffer): Promise<Socket> {
  const socket = connect({ path: join(directory, 'dial.sock'), allowHalfOpen: true })
  socket.on('error', () => socket.destroy())
  await new Promise<void>((resolve) => socket.write(hello, () => resolve()))
  return socket
}

/** Both ends of a connection that has this number; `accept` answers the dial. */
async function dialed(accept: (inside: Socket) => void = (inside) => inside.write('\0')) {
  const inside = await said(Buffer.from(['W'.charCodeAt(0), NUMBER]))
  inside.once('data', () => accept(inside))
  return { inside, connection: await dialer.dial(8080, {}) }
}

const tellEnd = () => presence.write(Buffer.from([NUMBER]))

async function count(connection: RuntimeConnection, each = (_sum: number) => {}): Promise<number> {
  let sum = 0
  for await (const bytes of connection.readable) {
    sum += bytes.length
    each(sum)
  }
  return sum
}

it('hears of a proper end after the connection has closed itself', async () => {
  const { inside, connection } = await dialed()
  await connection.close()
  inside.write(Buffer.alloc(FULL))
  const read = count(connection, (sum) => {
    if (sum < FULL) return
    // The end is read by the read that follows this one, the word for it only by a later turn.
    tellEnd()
    inside.destroy()
  })
  expect(await read).toBe(FULL)
})

it('hears of a proper end before it has the answer to the dial', async () => {
  const { connection } = await dialed((inside) => {
    tellEnd()
    setImmediate(() => inside.end('\0'))
  })
  await connection.close()
  expect(await count(connection)).toBe(0)
})

it('takes the word for one connection for no other', async () => {
  const first = await dialed()
  await first.connection.close()
  tellEnd()
  first.inside.end()
  expect(await count(first.connection)).toBe(0)
  const second = await dialed()
  await second.connection.close()
  second.inside.destroy()
  await expect(count(second.connection)).rejects.toMatchObject({ code: 'CONNECT_FAILED' })
})
