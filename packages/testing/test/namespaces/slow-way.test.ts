import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { describe, expect, test } from 'vitest'
import { createSlowBed, noSlowWay } from './slow-way.ts'

const missing = noSlowWay()
if (missing !== undefined && process.env['CI'] === 'true') throw new Error(missing)

describe.skipIf(missing !== undefined)(`a slow way${missing ? `: ${missing}` : ''}`, () => {
  test('is as slow and as lossy as it is told to be, and says so', async () => {
    await using bed = await createSlowBed('here', ['there'])
    const way = bed.way('there')
    const { address } = bed.place('there')
    const echo = bed.place('there').namespace.spawn(process.execPath, ['-e', ECHO])
    await once(createInterface({ input: echo.stdout! }), 'line')
    const ping = async (count: number, bytes = 64): Promise<Measured> => {
      const args = [address, String(count), String(bytes)]
      const said = await bed.place('here').namespace.run(process.execPath, '-e', PING, ...args)
      return JSON.parse(said)
    }
    const plain = await ping(100)
    expect(plain).toMatchObject({ loss: 0, twice: 0, overtaken: 0 })

    await way.set({ delayMs: 50 })
    const late = await ping(100)
    expect(late.loss).toBe(0)
    // There and back.
    expect(late.leastMs).toBeGreaterThanOrEqual(100)
    expect(late.overtaken).toBe(0)

    await way.set({ jitterMs: 40 })
    const uneven = await ping(200)
    expect(uneven.meanMs).toBeGreaterThan(late.leastMs)

    await way.set({ delayMs: 0, jitterMs: 0, loss: 0.2 })
    const lossy = await ping(1000)
    // 36 % of both ways together.
    expect(lossy.loss).toBeGreaterThan(0.26)
    expect(lossy.loss).toBeLessThan(0.46)

    await way.set({ loss: 0, duplicate: 0.5 })
    const twice = await ping(200)
    expect(twice.twice).toBeGreaterThan(50)

    await way.set({ duplicate: 0, delayMs: 20, reorder: 0.1 })
    const mixed = await ping(300)
    expect(mixed.overtaken).toBeGreaterThan(10)

    const { carried, lost } = await way.set({ delayMs: 0, reorder: 0, mbit: 1, queueBytes: 20_000 })
    expect(carried).toBeGreaterThan(2000)
    expect(lost).toBeGreaterThan(300)
    const full = await ping(500, 1000)
    // 500 KB a second do not fit through 1 Mbit.
    expect(full.loss).toBeGreaterThan(0.2)
    console.log(JSON.stringify({ plain, late, uneven, lossy, twice, mixed, full, carried, lost }))
  })
})

const ECHO = `
const socket = require('node:dgram').createSocket('udp4')
socket.on('message', (bytes, { address, port }) => socket.send(bytes, port, address))
socket.bind(7000, () => console.log('listening'))`

interface Measured {
  /** Share of those that did not come back. */
  loss: number
  leastMs: number
  meanMs: number
  /** Those that came again, and those that came after a later one. */
  twice: number
  overtaken: number
}

/** Datagrams, one each 2 ms, and what comes back. */
const PING = `
const [host, count, bytes] = process.argv.slice(1)
const socket = require('node:dgram').createSocket('udp4')
const sent = []
const came = new Map()
let twice = 0, overtaken = 0, latest = -1
socket.on('message', (text) => {
  const n = text.readUInt32BE()
  if (came.has(n)) return twice++
  came.set(n, performance.now() - sent[n])
  if (n < latest) overtaken++
  latest = Math.max(n, latest)
})
const send = () => {
  const text = Buffer.alloc(Number(bytes))
  text.writeUInt32BE(sent.length)
  sent.push(performance.now())
  socket.send(text, 7000, host)
  if (sent.length < Number(count)) return setTimeout(send, 2)
  setTimeout(() => {
    const times = [...came.values()]
    const meanMs = times.reduce((sum, ms) => sum + ms, 0) / times.length
    const loss = 1 - came.size / sent.length
    console.log(JSON.stringify({ loss, leastMs: Math.min(...times), meanMs, twice, overtaken }))
    process.exit()
  }, 1000)
}
send()`
