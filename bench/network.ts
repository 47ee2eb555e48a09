/**
 * What the network promises, measured between two processes on loopback:
 * bulk frames against a plain socket in the same run, calls per second, memory with a slow reader.
 * Prints one JSON line each.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { createNetwork, type Network } from '@manyhands/core'
import { median, printResult } from './shared/result.ts'

const BULK_BYTES = Number(process.env['BENCH_BYTES'] ?? 1024 ** 3)
const SLOW_BYTES = 256 * 1024 ** 2
const FRAME_BYTES = 1024 ** 2
const ROUNDS = 3
const CALLS = 40_000
const IN_FLIGHT = 64
const CALLS_GOAL = 20_000
const SLOW_GOAL_MIB = 128
const BULK = '/bench/bulk/1'
const SLOW = '/bench/slow/1'

interface Ready {
  address: string
  port: number
}

async function receive(): Promise<void> {
  const network = await createNetwork({ listen: ['/ip4/127.0.0.1/tcp/0'], gossip: false })
  network.handle('attempt.cancel', async () => ({}))
  const take = (pauseMs: number) =>
    network.handleStream(pauseMs === 0 ? BULK : SLOW, async (stream) => {
      const before = process.memoryUsage().rss
      let peak = before
      let bytes = 0
      for await (const frame of stream) {
        bytes += frame.length
        if (bytes % (16 * FRAME_BYTES) === 0) peak = Math.max(peak, process.memoryUsage().rss)
        if (pauseMs > 0) await sleep(pauseMs)
      }
      await stream.send(Buffer.from(JSON.stringify({ bytes, grown: peak - before })))
      await stream.close()
    })
  await take(0)
  await take(4)
  const server = createServer((socket) => {
    let bytes = 0
    socket.on('data', (chunk) => {
      bytes += chunk.length
      if (bytes === BULK_BYTES) socket.end('done')
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  process.send?.({ address: network.addresses[0], port } as Ready)
  process.on('disconnect', () => process.exit())
}

async function measure(): Promise<void> {
  const receiver = fork(fileURLToPath(import.meta.url), ['receiver'], {
    execArgv: process.execArgv,
  })
  try {
    const { address, port } = await ready(receiver)
    await using network = await createNetwork({ bootstrap: [address], gossip: false })
    const peer = network.peers()[0] as string
    const slow = await frames(network, peer, SLOW, SLOW_BYTES)
    const sockets: number[] = []
    const streams: number[] = []
    for (let round = 0; round < ROUNDS; round++) {
      sockets.push(await plainSocket(port))
      streams.push((await frames(network, peer, BULK, BULK_BYTES)).perSecond)
    }
    const socket = median(sockets)
    const stream = median(streams)
    const calls = await callsPerSecond(network, peer)
    printResult({
      name: 'network: bulk frames',
      promise: 'a frame stream carries at least 0.35 of what a plain socket carries',
      value: stream / 1e6,
      unit: 'MB/s',
      rounds: streams.map((rate) => rate / 1e6),
      against: 'node:net, same bytes, same run',
      peer: socket / 1e6,
      ratio: stream / socket,
      kept: stream / socket >= 0.35,
    })
    printResult({
      name: 'network: calls',
      promise: `at least ${CALLS_GOAL} calls a second with ${IN_FLIGHT} in flight`,
      value: calls,
      unit: '1/s',
      against: 'goal',
      peer: CALLS_GOAL,
      ratio: calls / CALLS_GOAL,
      kept: calls >= CALLS_GOAL,
    })
    const grown = Math.max(slow.senderGrown, slow.receiverGrown)
    printResult({
      name: 'network: slow reader',
      promise: `memory of either end grows by less than ${SLOW_GOAL_MIB} MiB behind a slow reader`,
      value: grown,
      unit: 'MiB',
      against: 'goal',
      peer: SLOW_GOAL_MIB,
      ratio: grown / SLOW_GOAL_MIB,
      kept: grown < SLOW_GOAL_MIB,
      sender: slow.senderGrown,
      receiver: slow.receiverGrown,
    })
  } finally {
    receiver.kill()
  }
}

async function ready(receiver: ChildProcess): Promise<Ready> {
  const [message] = await once(receiver, 'message')
  return message as Ready
}

async function plainSocket(port: number): Promise<number> {
  const chunk = Buffer.alloc(FRAME_BYTES, 7)
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  const started = performance.now()
  for (let sent = 0; sent < BULK_BYTES; sent += chunk.length) {
    if (!socket.write(chunk)) await once(socket, 'drain')
  }
  await once(socket, 'data')
  return perSecond(BULK_BYTES, started)
}

async function frames(network: Network, peer: string, protocol: string, total: number) {
  const frame = Buffer.alloc(FRAME_BYTES, 7)
  const before = process.memoryUsage().rss
  let peak = before
  const stream = await network.openStream(peer, protocol)
  const started = performance.now()
  for (let sent = 0; sent < total; sent += frame.length) {
    await stream.send(frame)
    if (sent % (16 * FRAME_BYTES) === 0) peak = Math.max(peak, process.memoryUsage().rss)
  }
  await stream.close()
  const answer = JSON.parse(Buffer.from((await stream.next()) ?? []).toString())
  return {
    perSecond: perSecond(answer.bytes, started),
    senderGrown: (peak - before) / 1024 ** 2,
    receiverGrown: answer.grown / 1024 ** 2,
  }
}

async function callsPerSecond(network: Network, peer: string): Promise<number> {
  const params = { ids: ['abcdefgh-12345678.1'], reason: 'x'.repeat(250) }
  const some = async (calls: number): Promise<void> => {
    for (let call = 0; call < calls; call++) await network.call(peer, 'attempt.cancel', params)
  }
  const all = (calls: number) =>
    Promise.all(Array.from({ length: IN_FLIGHT }, () => some(calls / IN_FLIGHT)))
  await all(CALLS / 4)
  const started = performance.now()
  await all(CALLS)
  return perSecond(CALLS, started)
}

const perSecond = (count: number, started: number): number =>
  (count / (performance.now() - started)) * 1000

if (process.argv[2] === 'receiver') await receive()
else await measure()
