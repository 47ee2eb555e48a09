import { createServer } from 'node:net'
import { afterEach, beforeEach, expect, it } from 'vitest'
import {
  type ControlClient,
  type ControlServer,
  createControlClient,
  createControlServer,
} from '../src/index.ts'
import { type FakeHost, fakeHost } from './fake-host.ts'

let host: FakeHost
let server: ControlServer
let client: ControlClient

beforeEach(async () => {
  host = fakeHost()
  server = await createControlServer({ host })
  client = createControlClient(server)
})
afterEach(() => server.close())

it('carries every call to the host and its answer back', async () => {
  expect(await client.version()).toMatchObject({ peerId: host.peerId, pid: process.pid })
  expect(await client.offer()).toEqual(host.offer)
  expect(await client.hosts()).toEqual([host.offer])
  expect(await client.attempts()).toEqual(host.attempts())
  expect(await client.attempt('a1')).toEqual(host.attempts()[0])
  expect(await client.kill('a1', 'mine')).toBe(true)
  expect(await client.resume('a1')).toEqual(host.attempts()[0])
  expect(await client.limit('a1', { memory: '1GiB' })).toEqual(host.attempts()[0])
  expect(await client.drain({ deadline: '1s' })).toEqual({ completed: 2, evicted: 1 })
  await client.block('12D3KooEvil')
  expect(await client.blocked()).toEqual(['12D3KooOld', '12D3KooEvil'])
  await client.unblock('12D3KooEvil')
  expect(await client.history('a1')).toEqual(host.history('a1'))
  expect(await client.totals()).toEqual(host.totals())
  expect(await client.policy()).toEqual({ share: { cpus: 4 }, policy: { images: ['demo:*'] } })
  const night = { schedule: { hours: '19:00-07:00' } }
  expect(await client.setPolicy(night)).toMatchObject({ share: { cpus: 4 }, ...night })
  const admission = { client: 'c', runtime: 'wasm', image: 'i' }
  expect(await client.explain(admission)).toMatchObject([{ rule: 'clients' }])
  expect(await client.gc({ dryRun: true, keepBytes: 5 })).toMatchObject({ dryRun: true })
  expect(await client.gc()).toMatchObject({ dryRun: false, sections: [{ room: 'artifacts' }] })
  expect(host.calls.filter(([name]) => name === 'gc')).toEqual([
    ['gc', { dryRun: true, keepBytes: 5 }],
    ['gc', { dryRun: false }],
  ])
  expect(await client.metrics()).toContain('manyhands_attempts')
  expect(host.calls.map(([name]) => name)).toEqual([
    'kill',
    'resume',
    'limit',
    'drain',
    'block',
    'unblock',
    'setPolicy',
    'explain',
    'gc',
    'gc',
  ])
})

it("rejects with the host's own typed error", async () => {
  await expect(client.kill('other')).rejects.toMatchObject({
    name: 'ManyhandsError',
    code: 'NOT_FOUND',
    message: 'attempt other is not on this host',
  })
  await expect(client.pause('a1')).rejects.toMatchObject({ code: 'UNSUPPORTED', exitCode: 2 })
  await expect(createControlClient({ ...server, token: 'x' }).attempts()).rejects.toMatchObject({
    code: 'UNAUTHORIZED',
  })
})

it('escapes ids in paths', async () => {
  await expect(client.kill('a1/resume?')).rejects.toMatchObject({ code: 'NOT_FOUND' })
  expect(host.calls).toEqual([])
})

it('reads usage until the signal', async () => {
  const abort = new AbortController()
  const seen: number[] = []
  const read = async () => {
    for await (const sample of client.usage({ attempt: 'a1', signal: abort.signal })) {
      seen.push(sample.elapsedMs)
      if (seen.length === 2) abort.abort(new Error('enough'))
    }
  }
  await expect(read()).rejects.toThrow('enough')
  expect(seen).toEqual([0, 1])
  await expect.poll(() => host.readers).toBe(0)
})

it('ends a usage stream that its reader leaves', async () => {
  for await (const sample of client.usage()) {
    expect(sample.attempt).toBe('a1')
    break
  }
  await expect.poll(() => host.readers).toBe(0)
})

it('says how to start a host when nothing listens', async () => {
  await server.close()
  await expect(client.attempts()).rejects.toMatchObject({
    code: 'CONNECT_FAILED',
    exitCode: 5,
    hint: expect.stringContaining('manyhands host'),
  })
})

it('calls a host gone that hangs up, and another server a stranger', async () => {
  const strange = createServer((socket) => {
    socket.once('data', () => {
      if (answer === '') socket.destroy()
      else socket.end(answer)
    })
  })
  let answer = ''
  await new Promise<void>((resolve) => strange.listen(0, '127.0.0.1', resolve))
  const { port } = strange.address() as { port: number }
  const other = createControlClient({ url: `http://127.0.0.1:${port}`, token: 'x' })
  await expect(other.attempts()).rejects.toMatchObject({ code: 'PEER_GONE' })
  answer = 'HTTP/1.1 500 Oops\r\ncontent-length: 4\r\n\r\noops'
  await expect(other.attempts()).rejects.toMatchObject({ code: 'PROTOCOL' })
  strange.close()
})

it('gives up at the signal', async () => {
  await expect(client.attempts({ signal: AbortSignal.abort(new Error('no')) })).rejects.toThrow(
    'no',
  )
})
