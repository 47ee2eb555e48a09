import type { Stream } from '@libp2p/interface'
import { LIMITS, ManyhandsError, type Network, PROTOCOLS } from '@manyhands/core'
import { multiaddr } from '@multiformats/multiaddr'
import { expect, test } from 'vitest'
import { FrameAssembler, headerOf } from '../../src/network/frame-assembler.ts'
import {
  decodeEnvelope,
  encodeEnvelope,
  type RpcAnswer,
  type RpcRequest,
} from '../../src/network/rpc-envelope.ts'
import { encodeDocument } from '../../src/wire/codec.ts'
import { eventually } from './eventually.ts'
import { addressOf, Networks } from './networks.ts'

const CANCEL = { ids: ['job-1.1'], reason: 'test' }

async function pair(networks: Networks): Promise<[Network, Network]> {
  const host = await networks.host()
  const client = await networks.add({ bootstrap: [addressOf(host)] })
  // Who dials is done first.
  await eventually('the host sees the client', () => host.isConnected(client.peerId))
  return [host, client]
}

/** A bare request stream to a network, with what it answers. */
async function rawStream(networks: Networks, host: Network) {
  const node = await networks.bare()
  const connection = await node.dial(multiaddr(addressOf(host)))
  const stream = await connection.newStream(PROTOCOLS.rpc)
  const answers: (RpcRequest | RpcAnswer)[] = []
  const assembler = new FrameAssembler(
    (length) => length,
    (_, body) => answers.push(decodeEnvelope(body)),
  )
  stream.addEventListener('message', ({ data }) => {
    for (const chunk of data instanceof Uint8Array ? [data] : data) assembler.push(chunk)
  })
  const ask = (bytes: Uint8Array): void => {
    stream.send(headerOf(bytes.length))
    stream.send(bytes)
  }
  return { node, connection, stream, answers, ask }
}

const ended = (stream: Stream): Promise<void> =>
  eventually('the stream is ended', () => stream.status !== 'open')

test('both sides ask and answer, and know who asks', async () => {
  await using networks = new Networks()
  const [host, client] = await pair(networks)
  const asked: unknown[] = []
  host.handle('attempt.cancel', async (params, { peer }) => {
    asked.push(params, peer)
    return {}
  })
  client.handle('attempt.inventory', async () => ({
    attempts: [{ id: 'job-1.1', job: 'job', phase: 'running' }],
  }))
  expect(await client.call(host.peerId, 'attempt.cancel', CANCEL)).toEqual({})
  expect(asked).toEqual([CANCEL, client.peerId])
  expect(await host.call(client.peerId, 'attempt.inventory', {})).toEqual({
    attempts: [{ id: 'job-1.1', job: 'job', phase: 'running' }],
  })
})

test('many calls at once, from both sides at the same moment', async () => {
  await using networks = new Networks()
  const [host, client] = await pair(networks)
  for (const network of [host, client]) {
    network.handle('attempt.inventory', async ({ job }) => ({
      attempts: [{ id: `${job}.1`, job: job as string, phase: 'running' }],
    }))
  }
  const ask = async (from: Network, to: Network, index: number) => {
    const { attempts } = await from.call(to.peerId, 'attempt.inventory', { job: `j${index}` })
    return attempts[0]?.id
  }
  const indexes = Array.from({ length: 300 }, (_, index) => index)
  const [there, back] = await Promise.all([
    Promise.all(indexes.map((index) => ask(client, host, index))),
    Promise.all(indexes.map((index) => ask(host, client, index))),
  ])
  expect(there).toEqual(indexes.map((index) => `j${index}.1`))
  expect(back).toEqual(there)
})

test('what the handler throws arrives with code, message and details', async () => {
  await using networks = new Networks()
  const [host, client] = await pair(networks)
  host.handle('attempt.cancel', async () => {
    throw new ManyhandsError('HOST_BUSY', 'all slots are taken', { details: { slots: 2 } })
  })
  await expect(client.call(host.peerId, 'attempt.cancel', CANCEL)).rejects.toMatchObject({
    code: 'HOST_BUSY',
    message: 'all slots are taken',
    details: { slots: 2 },
  })
  host.handle('attempt.cancel', async () => {
    throw new ManyhandsError('HOST_BUSY', 'odd', { details: { f: () => {} } })
  })
  await expect(client.call(host.peerId, 'attempt.cancel', CANCEL)).rejects.toMatchObject({
    code: 'HOST_BUSY',
    message: 'odd',
  })
})

test('params are checked by who asks, results by who answers', async () => {
  await using networks = new Networks()
  const [host, client] = await pair(networks)
  let asked = 0
  host.handle('attempt.cancel', async () => {
    asked++
    return {}
  })
  const bad = { ids: 'x', reason: 'r' } as never
  await expect(client.call(host.peerId, 'attempt.cancel', bad)).rejects.toMatchObject({
    code: 'PROTOCOL',
  })
  expect(asked).toBe(0)
  host.handle('attempt.inventory', async () => ({ attempts: 'x' }) as never)
  await expect(client.call(host.peerId, 'attempt.inventory', {})).rejects.toMatchObject({
    code: 'PROTOCOL',
    message: expect.stringContaining('answer to attempt.inventory'),
  })
})

test('who answers checks params and names; the stream goes on', async () => {
  await using networks = new Networks()
  const host = await networks.host()
  host.handle('attempt.cancel', async () => ({}))
  const { answers, ask } = await rawStream(networks, host)
  const requests: RpcRequest[] = [
    { v: 1, id: 1, method: 'attempt.cancel', params: { ids: 'x' } },
    { v: 1, id: 2, method: 'no.such', params: {} },
    { v: 1, id: 3, method: 'toString', params: {} },
    { v: 1, id: 4, method: 'attempt.inventory', params: {} },
    { v: 9, id: 5, method: 'attempt.cancel', params: CANCEL },
    { v: 1, id: 6, method: 'attempt.cancel', params: CANCEL },
  ]
  for (const request of requests) ask(encodeEnvelope(request))
  await eventually('six answers', () => answers.length === 6)
  const outcomes = answers.map((answer) => {
    const { id, ok, error } = answer as { id: number; ok: boolean; error?: { code: string } }
    return [id, ok, error?.code]
  })
  expect(outcomes.sort()).toEqual([
    [1, false, 'PROTOCOL'],
    [2, false, 'PROTOCOL'],
    [3, false, 'PROTOCOL'],
    [4, false, 'PROTOCOL'],
    [5, false, 'PROTOCOL'],
    [6, true, undefined],
  ])
})

test.each([
  ['no DAG-CBOR', Uint8Array.of(0xff, 0xff, 0xff)],
  ['a bomb of nested arrays', new Uint8Array(1_000_000).fill(0x81)],
  ['no id', encodeDocument({ v: 1, method: 'attempt.cancel', params: {} })],
  ['a number', encodeDocument(7)],
  ['null', encodeDocument(null)],
  ['neither request nor answer', encodeDocument({ v: 1, id: 1 })],
  ['an error of no shape', encodeDocument({ v: 1, id: 1, ok: false, error: 'x' })],
])('a frame of %s ends the stream and nothing else', async (_, bytes) => {
  await using networks = new Networks()
  const host = await networks.host()
  host.handle('attempt.cancel', async () => ({}))
  const { stream, connection, ask } = await rawStream(networks, host)
  ask(bytes)
  await ended(stream)
  expect(connection.status).toBe('open')
  const again = await connection.newStream(PROTOCOLS.rpc)
  const request = encodeEnvelope({ v: 1, id: 1, method: 'attempt.cancel', params: CANCEL })
  const answered = new Promise((resolve) => again.addEventListener('message', resolve))
  again.send(headerOf(request.length))
  again.send(request)
  await answered
})

test.each([
  ['1 GiB', 1024 ** 3],
  ['one byte beyond the limit', LIMITS.rpcFrameBytes + 1],
  ['4 GiB', 0xffffffff],
  ['nothing', 0],
])('a length of %s ends the stream at once', async (_, length) => {
  await using networks = new Networks()
  const host = await networks.host()
  const { stream, connection } = await rawStream(networks, host)
  const before = process.memoryUsage().arrayBuffers
  stream.send(headerOf(length))
  await ended(stream)
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(64 * 1024 ** 2)
  expect(connection.status).toBe('open')
})

test('requests beyond the limit of one peer are answered LIMIT', async () => {
  await using networks = new Networks()
  const host = await networks.host()
  const release = Promise.withResolvers<void>()
  host.handle('attempt.cancel', async () => {
    await release.promise
    return {}
  })
  const { answers, ask } = await rawStream(networks, host)
  for (let id = 0; id < LIMITS.rpcPendingPerPeer + 2; id++) {
    ask(encodeEnvelope({ v: 1, id, method: 'attempt.cancel', params: CANCEL }))
  }
  await eventually('two refusals', () => answers.length === 2)
  expect(answers).toMatchObject([
    { id: LIMITS.rpcPendingPerPeer, ok: false, error: { code: 'LIMIT' } },
    { id: LIMITS.rpcPendingPerPeer + 1, ok: false, error: { code: 'LIMIT' } },
  ])
  release.resolve()
  await eventually('all answers', () => answers.length === LIMITS.rpcPendingPerPeer + 2)
  ask(encodeEnvelope({ v: 1, id: 9999, method: 'attempt.cancel', params: CANCEL }))
  await eventually('room again', () => answers.some((answer) => answer.id === 9999))
})

test('a call ends with TIMEOUT or with the reason of its signal; its stream stays', async () => {
  await using networks = new Networks()
  const [host, client] = await pair(networks)
  const release = Promise.withResolvers<void>()
  host.handle('attempt.cancel', async () => {
    await release.promise
    return {}
  })
  host.handle('attempt.acknowledge', async () => ({}))
  const options = { timeoutMs: 20 }
  await expect(client.call(host.peerId, 'attempt.cancel', CANCEL, options)).rejects.toMatchObject({
    code: 'TIMEOUT',
  })
  const reason = new Error('not needed any more')
  const controller = new AbortController()
  const { signal } = controller
  const call = client.call(host.peerId, 'attempt.cancel', CANCEL, { signal })
  controller.abort(reason)
  await expect(call).rejects.toBe(reason)
  await expect(client.call(host.peerId, 'attempt.cancel', CANCEL, { signal })).rejects.toBe(reason)
  release.resolve()
  expect(await client.call(host.peerId, 'attempt.acknowledge', { ids: [] })).toEqual({})
})

test('a cut rejects what is open with PEER_GONE; the next call connects again', async () => {
  await using networks = new Networks()
  const [host, client] = await pair(networks)
  const asked = Promise.withResolvers<void>()
  host.handle('attempt.cancel', () => {
    asked.resolve()
    return new Promise(() => {})
  })
  host.handle('attempt.acknowledge', async () => ({}))
  const call = client.call(host.peerId, 'attempt.cancel', CANCEL)
  const gone = expect(call).rejects.toMatchObject({ code: 'PEER_GONE' })
  await asked.promise
  await host.disconnect(client.peerId)
  await gone
  await eventually('the client sees the cut', () => !client.isConnected(host.peerId))
  expect(await client.call(host.peerId, 'attempt.acknowledge', { ids: [] })).toEqual({})
})

test('a call to a peer that is gone or unknown is CONNECT_FAILED', async () => {
  await using networks = new Networks()
  const [host, client] = await pair(networks)
  await host.close()
  await eventually('the client sees the end', () => !client.isConnected(host.peerId))
  await expect(client.call(host.peerId, 'attempt.cancel', CANCEL)).rejects.toMatchObject({
    code: 'CONNECT_FAILED',
  })
})

test('closing rejects what is open, and what comes after, with CLOSED', async () => {
  await using networks = new Networks()
  const [host, client] = await pair(networks)
  const asked = Promise.withResolvers<void>()
  host.handle('attempt.cancel', () => {
    asked.resolve()
    return new Promise(() => {})
  })
  const opening = client.call(host.peerId, 'attempt.cancel', CANCEL)
  const call = client.call(host.peerId, 'attempt.cancel', CANCEL)
  const closed = expect(call).rejects.toMatchObject({ code: 'CLOSED' })
  const neverOpened = expect(opening).rejects.toMatchObject({ code: 'CLOSED' })
  await asked.promise
  await client.close()
  await neverOpened
  await closed
  await expect(client.call(host.peerId, 'attempt.cancel', CANCEL)).rejects.toMatchObject({
    code: 'CLOSED',
  })
})
