import type { ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import { describe, expect, test } from 'vitest'
import { type Bed, createBed, type Place } from './bed.ts'
import { Namespace, noNamespaces } from './namespace.ts'

const missing = noNamespaces()
if (missing !== undefined && process.env['CI'] === 'true') throw new Error(missing)

describe.skipIf(missing !== undefined)(
  `the bed of namespaces${missing ? `: ${missing}` : ''}`,
  () => {
    test('who can reach whom', async () => {
      await using bed = await createBed({
        public: { open: {}, closed: { firewall: true } },
        homes: { a: { members: ['anna', 'amir'] }, b: { members: ['berta'] } },
      })
      const reaches = async (from: string, to: string): Promise<boolean> => {
        const { address } = bed.place(to)
        return answers(bed.place(from), address)
      }
      await Promise.all(
        ['open', 'closed', 'anna', 'amir', 'berta'].map((at) => listen(bed.place(at))),
      )
      expect(await reaches('closed', 'open')).toBe(true)
      expect(await reaches('anna', 'open')).toBe(true)
      expect(await reaches('anna', 'amir')).toBe(true)
      expect(await reaches('open', 'closed')).toBe(false)
      expect(await reaches('open', 'anna')).toBe(false)
      expect(await answers(bed.place('open'), bed.place('anna').publicAddress)).toBe(false)
      // The homes have the same numbers: whoever is found at that address, it is not the other home's.
      expect(bed.place('berta').address).toBe(bed.place('anna').address)
    })

    test.each([
      ['full-cone', { samePort: true, strangers: true }],
      ['port-restricted', { samePort: true, strangers: false }],
      ['symmetric', { samePort: false, strangers: false }],
    ] as const)('a router that is %s', async (nat, expected) => {
      await using bed = await createBed({
        public: { one: {}, other: {}, stranger: {} },
        homes: { a: { nat, members: ['anna'] } },
      })
      const [one, other, stranger] = ['one', 'other', 'stranger'].map((name) => udp(bed, name))
      const anna = udp(bed, 'anna')
      await Promise.all([one, other, stranger, anna].map((end) => end!.bound))
      const seen = async (end: Udp, name: string) => {
        anna.send(bed.place(name).address, 'hello')
        const { from } = await end.next()
        expect(from.host).toBe(bed.home('a').publicAddress)
        return from.port
      }
      const port = await seen(one!, 'one')
      expect((await seen(other!, 'other')) === port).toBe(expected.samePort)
      // Those who were sent something may answer; the stranger's comes first or never.
      stranger!.send(bed.home('a').publicAddress, 'stranger', port)
      await stranger!.said()
      one!.send(bed.home('a').publicAddress, 'answer', port)
      expect((await anna.next()).text).toBe(expected.strangers ? 'stranger' : 'answer')
    })

    test.each(['drop', 'reset'] as const)('a way that is cut by %s, and healed', async (kind) => {
      await using bed = await createBed({
        public: { server: {}, other: {} },
        homes: { a: { members: ['anna', 'amir'] } },
      })
      await Promise.all(['server', 'other', 'amir'].map((at) => listen(bed.place(at))))
      const ways: [string, string][] = [
        ['other', 'server'],
        ['anna', 'server'],
        ['anna', 'amir'],
      ]
      for (const [from, to] of ways) {
        const { address } = bed.place(to)
        const open = conversation(bed.place(from), address)
        expect(await open.echo('before')).toBe('before')
        const cut = await bed.cut(from, to, { kind })
        if (kind === 'reset') expect(await open.echo('during')).toBe('ECONNRESET')
        expect(await answers(bed.place(from), address)).toBe(false)
        // Only this way: LAN-mates and others are not disturbed.
        if (from === 'anna' && to === 'server') {
          expect(await answers(bed.place('amir'), address)).toBe(true)
        }
        await cut.heal()
        expect(await answers(bed.place(from), address)).toBe(true)
        // What was sent meanwhile arrives late, but it arrives.
        if (kind === 'drop') expect(await open.echo('after')).toBe('after')
      }
    })

    test('a line that takes no more than it should', async () => {
      await using bed = await createBed({ public: { fast: {}, slow: { rate: '8mbit' } } })
      await listen(bed.place('slow'))
      const script = `
      const { connect } = require('node:net')
      const socket = connect(7000, process.argv[1])
      const startedAt = performance.now()
      socket.write(Buffer.alloc(2e6))
      let bytes = 0
      socket.on('data', (data) => {
        bytes += data.length
        if (bytes === 2e6) { console.log((2e6 / (performance.now() - startedAt))); process.exit() }
      })`
      const measure = async () =>
        Number(
          await bed
            .place('fast')
            .namespace.run(process.execPath, '-e', script, bed.place('slow').address),
        )
      // Thousands of bytes a second: 1000 are 8 mbit, headers and the burst aside.
      expect(await measure()).toBeLessThan(1300)
      await bed.rate('slow', undefined)
      expect(await measure()).toBeGreaterThan(2000)
    })

    test('nothing is left, and nothing of a process that died', async () => {
      const names = async () => (await listNamespaces()).filter((name) => name.includes('-lonely'))
      {
        await using bed = await createBed({ public: { lonely: {} } })
        bed.place('lonely').namespace.spawn('sleep', ['1000'])
        expect(await names()).toHaveLength(1)
      }
      expect(await names()).toEqual([])
      const bedFile = new URL('./bed.ts', import.meta.url).href
      const dying = `
      const { createBed } = await import(${JSON.stringify(bedFile)})
      const bed = await createBed({ public: { lonely: {} } })
      process.kill(process.pid, 'SIGKILL')`
      await using anywhere = await Namespace.create('anywhere')
      const run = (text: string) =>
        anywhere.run(
          process.execPath,
          '--input-type=module',
          '--conditions=@manyhands/source',
          '-e',
          text,
        )
      await expect(run(dying)).rejects.toThrow()
      expect(await names()).toHaveLength(1)
      const tidying = `
      const { createBed } = await import(${JSON.stringify(bedFile)})
      await using bed = await createBed({})`
      await run(tidying)
      expect(await names()).toEqual([])
    })
  },
)

async function listNamespaces(): Promise<string[]> {
  const { readdir } = await import('node:fs/promises')
  return readdir('/run/netns')
}

const ECHO = `
require('node:net').createServer((socket) => socket.on('error', () => {}).pipe(socket))
  .listen(7000, '0.0.0.0', () => console.log('listening'))`

/** An echo at port 7000 of a place, for as long as its bed is there. */
async function listen(place: Place): Promise<void> {
  const child = place.namespace.spawn(process.execPath, ['-e', ECHO])
  await firstLine(child)
}

const ASK = `
const socket = require('node:net').connect({ port: 7000, host: process.argv[1], timeout: 1500 })
const end = (text) => { console.log(text); process.exit() }
socket.on('connect', () => socket.write('hello'))
socket.on('data', () => end('answered'))
socket.on('timeout', () => end('timeout'))
socket.on('error', ({ code }) => end(code))`

/** Whether the echo at an address answers. */
async function answers(from: Place, address: string): Promise<boolean> {
  const said = await from.namespace.run(process.execPath, '-e', ASK, address)
  return said.trim() === 'answered'
}

const TALK = `
const socket = require('node:net').connect(7000, process.argv[1])
process.stdin.on('data', (text) => socket.write(text))
socket.on('data', (text) => process.stdout.write(text))
socket.on('error', ({ code }) => console.log(code))`

/** A connection to the echo at an address. */
function conversation(from: Place, address: string) {
  const child = from.namespace.spawn(process.execPath, ['-e', TALK, address])
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]()
  return {
    async echo(text: string): Promise<string> {
      child.stdin!.write(`${text}\n`)
      return (await lines.next()).value ?? 'ended'
    },
  }
}

const UDP = `
const socket = require('node:dgram').createSocket('udp4')
const say = (what) => console.log(JSON.stringify(what))
socket.on('message', (text, { address, port }) => say({ text: String(text), from: { host: address, port } }))
socket.bind(7000, () => say({ bound: true }))
require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
  const { host, port, text } = JSON.parse(line)
  socket.send(text, port, host, () => say({ sent: true }))
})`

interface Udp {
  bound: Promise<void>
  send(host: string, text: string, port?: number): void
  /** Has handed over what it was told to send last. */
  said(): Promise<void>
  next(): Promise<{ text: string; from: { host: string; port: number } }>
}

/** A socket at UDP port 7000 of a place. */
function udp(bed: Bed, name: string): Udp {
  const child = bed.place(name).namespace.spawn(process.execPath, ['-e', UDP])
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]()
  const until = async (key: string) => {
    for (;;) {
      const said = JSON.parse((await lines.next()).value ?? 'null')
      if (key in said) return said
    }
  }
  return {
    bound: until('bound'),
    send: (host, text, port = 7000) => {
      child.stdin!.write(`${JSON.stringify({ host, port, text })}\n`)
    },
    said: () => until('sent'),
    next: () => until('text'),
  }
}

async function firstLine(child: ChildProcess): Promise<string> {
  for await (const line of createInterface({ input: child.stdout! })) return line
  throw new Error('it ended without a word')
}
