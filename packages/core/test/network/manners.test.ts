import { connect, type Socket } from 'node:net'
import { LIMITS, type Network, PROTOCOLS } from '@manyhands/core'
import { multiaddr } from '@multiformats/multiaddr'
import { expect, test } from 'vitest'
import { headerOf } from '../../src/network/frame-assembler.ts'
import type { Libp2pNode } from '../../src/network/libp2p-node.ts'
import { eventually } from './eventually.ts'
import { addressOf, Networks } from './networks.ts'

/** A host that answers, an honest client that is connected, and a count of bans. */
async function attacked(networks: Networks) {
  const host = await networks.host()
  host.handle('attempt.inventory', async () => ({ attempts: [] }))
  await host.handleStream(PROTOCOLS.events, async (stream) => {
    // Its header is read and nothing more, as hosts do.
    await stream.next()
    await new Promise(() => {})
  })
  const client = await networks.add({ bootstrap: [addressOf(host)] })
  const ask = () => client.call(host.peerId, 'attempt.inventory', {})
  await ask()
  return { host, client, ask }
}

const bannedPeer = (host: Network, node: Libp2pNode): boolean =>
  host.bans().some(({ peer }) => peer === node.peerId.toString())

const dial = (node: Libp2pNode, host: Network) => node.dial(multiaddr(addressOf(host)))

const failed = (promise: Promise<unknown>): Promise<boolean> =>
  promise.then(
    () => false,
    () => true,
  )

test('who sends garbage again and again is banned; honest calls go on', async () => {
  await using networks = new Networks()
  const { host, ask } = await attacked(networks)
  const node = await networks.bare()
  const bans: unknown[] = []
  host.addEventListener('ban', (event) => bans.push((event as CustomEvent).detail))
  const connection = await dial(node, host)
  while (connection.status === 'open') {
    const stream = await connection.newStream(PROTOCOLS.rpc).catch(() => undefined)
    stream?.send(headerOf(3))
    stream?.send(Uint8Array.of(0xff, 0xff, 0xff))
    await ask()
  }
  await eventually('it is banned', () => bannedPeer(host, node))
  expect(bans).toEqual([
    expect.objectContaining({ peer: node.peerId.toString(), offence: 'malformed', times: 1 }),
  ])
  expect(await failed(dial(node, host).then((again) => again.newStream(PROTOCOLS.rpc)))).toBe(true)
  expect(host.offences().refused).toBeGreaterThan(0)
  await ask()
})

test('a single mistake bans nobody', async () => {
  await using networks = new Networks()
  const { host } = await attacked(networks)
  const node = await networks.bare()
  const connection = await dial(node, host)
  const stream = await connection.newStream(PROTOCOLS.rpc)
  stream.send(headerOf(0xffffffff))
  await eventually('the stream is ended', () => stream.status !== 'open')
  expect(connection.status).toBe('open')
  expect(host.bans()).toEqual([])
})

test('streams opened and reset in circles end in a ban', async () => {
  await using networks = new Networks()
  const { host, ask } = await attacked(networks)
  const node = await networks.bare()
  const connection = await dial(node, host)
  while (connection.status === 'open') {
    const stream = await connection.newStream(PROTOCOLS.rpc).catch(() => undefined)
    stream?.abort(new Error('just so'))
  }
  await eventually('it is banned', () => bannedPeer(host, node))
  await ask()
})

test('streams on which nothing is agreed are few, and many of them end in a ban', async () => {
  await using networks = new Networks()
  const { host, ask } = await attacked(networks)
  const node = await networks.bare()
  const connection = await dial(node, host)
  const { muxer } = connection as unknown as {
    muxer: { createStream(): Promise<{ send(bytes: Uint8Array): void }> }
  }
  for (let index = 0; index < 1000 && connection.status === 'open'; index++) {
    await muxer.createStream().catch(() => {})
  }
  await eventually('it is banned', () => bannedPeer(host, node))
  expect(host.offences().offences.crowd).toBeGreaterThan(0)
  await ask()
})

test('one byte at a time is too slow for a frame', async () => {
  await using networks = new Networks()
  const { host, ask } = await attacked(networks)
  const node = await networks.bare()
  const connection = await dial(node, host)
  for (const protocol of [PROTOCOLS.rpc, PROTOCOLS.events]) {
    const stream = await connection.newStream(protocol)
    const timer = setInterval(() => {
      if (stream.status === 'open') stream.send(Uint8Array.of(0))
    }, 100)
    // A length, or kind and length, of which the body then trickles.
    stream.send(headerOf(1000))
    await eventually('the stream is ended', () => stream.status !== 'open')
    clearInterval(timer)
  }
  expect(host.offences().offences.slow).toBe(2)
  await ask()
})

test('frames that nobody takes are bounded over all streams of a peer', async () => {
  await using networks = new Networks()
  const { host, ask } = await attacked(networks)
  const node = await networks.bare()
  const connection = await dial(node, host)
  const frame = new Uint8Array(LIMITS.streamFrameBytes)
  const wanted = (1.5 * LIMITS.peerHeldBytes) / LIMITS.streamFrameBytes
  const streams = await Promise.all(
    Array.from({ length: 16 }, () => connection.newStream(PROTOCOLS.events)),
  )
  let sent = 0
  for (const stream of streams) {
    for (let index = 0; index < 7 && sent < wanted; index++, sent++) {
      if (stream.status !== 'open') continue
      stream.send(headerOf(frame.length))
      stream.send(frame)
    }
  }
  await eventually('some are ended', () => host.offences().offences.oversize > 0)
  await eventually('not all are open', () => streams.some(({ status }) => status !== 'open'))
  await ask()
})

test('a piece beyond every window is refused before it is kept', async () => {
  await using networks = new Networks()
  const { host, ask } = await attacked(networks)
  const node = await networks.bare()
  const connection = await dial(node, host)
  const { muxer } = connection as unknown as {
    muxer: { sendFrame(header: object, data: Uint8Array): void }
  }
  muxer.sendFrame({ type: 0, flag: 0, streamID: 1, length: 1024 ** 3 }, new Uint8Array(1024))
  await eventually('the connection is cut', () => connection.status !== 'open')
  expect(host.offences().offences.oversize).toBe(1)
  await ask()
})

test.each([
  ['pings', (id: number) => ({ type: 2, flag: 1, streamID: 0, length: id })],
  ['pieces that say nothing', () => ({ type: 1, flag: 0, streamID: 7, length: 0 })],
])('%s without end are counted', async (_, headerOfOne) => {
  await using networks = new Networks()
  const { host, ask } = await attacked(networks)
  const node = await networks.bare()
  const connection = await dial(node, host)
  const { muxer } = connection as unknown as {
    muxer: { sendFrame(header: object): void; handlePing(): void }
  }
  // Answers that nobody has waited for would end it from here.
  muxer.handlePing = () => {}
  for (let id = 0; id < 2000 && connection.status === 'open'; id++) {
    muxer.sendFrame(headerOfOne(id))
    if (id % 100 === 0) await ask()
  }
  await eventually('it is banned', () => bannedPeer(host, node))
})

test('more connections than one peer needs are refused', async () => {
  await using networks = new Networks()
  const { host, ask } = await attacked(networks)
  const node = await networks.bare()
  const target = multiaddr(addressOf(host))
  for (let index = 0; index < 2 * LIMITS.connectionsPerPeer; index++) {
    await node.dial(target, { force: true }).catch(() => {})
  }
  await eventually('the host has some of them', () => {
    const own = host.connections().filter(({ peer }) => peer === node.peerId.toString())
    return own.length === LIMITS.connectionsPerPeer
  })
  await ask()
})

test('handshakes that trickle are ended soon, and their address is refused for a moment', async () => {
  await using networks = new Networks()
  const { host, ask } = await attacked(networks)
  const { port, address } = hostAndPort(addressOf(host))
  const sockets = Array.from({ length: 150 }, () => trickle(address, port))
  await eventually('all are ended', () => sockets.every(({ destroyed }) => destroyed))
  // Long before a whole handshake would have been too late.
  const most = Math.max(...sockets.map(({ bytesWritten }) => bytesWritten))
  expect(most).toBeLessThan(LIMITS.upgradeMs / 1000 - 2)
  expect(host.bans()).toContainEqual(expect.objectContaining({ address, offence: 'silent' }))
  // The honest one from the same address keeps its connection, and may come again soon.
  await ask()
  await eventually('it is over', () => host.bans().length === 0)
  const other = await networks.add({ bootstrap: [addressOf(host)] })
  expect(await other.call(host.peerId, 'attempt.inventory', {})).toEqual({ attempts: [] })
})

function hostAndPort(address: string): { address: string; port: number } {
  const [host, port] = multiaddr(address).getComponents()
  return { address: host!.value!, port: Number(port!.value) }
}

/** One byte every now and then. */
function trickle(host: string, port: number): Socket {
  const socket = connect(port, host)
  const timer = setInterval(() => socket.write('a'), 1000)
  socket.on('error', () => {})
  socket.on('close', () => clearInterval(timer))
  return socket
}
