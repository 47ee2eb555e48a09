import { connect, createServer, type Socket } from 'node:net'
import {
  createPrivateNetwork,
  joinPrivateNetwork,
  type Membership,
  type Network,
} from '@manyhands/core'
import { multiaddr } from '@multiformats/multiaddr'
import { beforeEach, expect, it } from 'vitest'
import { Knock } from '../../src/membership/knock.ts'
import type { LocalMembership } from '../../src/membership/local-membership.ts'
import { addressOf, Networks } from '../network/networks.ts'

let owner: Membership

beforeEach(async () => {
  owner = await createPrivateNetwork({ name: 'lab' })
})

const portOf = (network: Network) => Number(/\/tcp\/(\d+)/.exec(addressOf(network))![1])

/** Everything that an open port says to somebody who says something, until it closes. */
function answerTo(port: number, ...said: Uint8Array[]): Promise<Buffer> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    const heard: Buffer[] = []
    socket.on('data', (data) => heard.push(data))
    socket.on('error', () => {})
    socket.once('close', () => resolve(Buffer.concat(heard)))
    for (const bytes of said) socket.write(bytes)
  })
}

/** Passes bytes on between a dialer and a port, and keeps what each has said. */
async function recording(port: number) {
  const dialed: Buffer[] = []
  const heard: Buffer[] = []
  const sockets = new Set<Socket>()
  const server = createServer((near) => {
    const far = connect(port, '127.0.0.1')
    for (const socket of [near, far]) {
      sockets.add(socket)
      socket.on('error', () => {})
    }
    near.on('data', (data) => {
      dialed.push(data)
      far.write(data)
    })
    far.on('data', (data) => {
      heard.push(data)
      near.write(data)
    })
    near.on('close', () => far.destroy())
    far.on('close', () => near.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address() as { port: number }
  return {
    port: address.port,
    dialed,
    heard,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

it('the port says nothing to whoever speaks libp2p, TLS, HTTP, or at random', async () => {
  await using networks = new Networks()
  const host = await networks.host({ membership: owner })
  const port = portOf(host)
  const random = crypto.getRandomValues(new Uint8Array(200))
  const texts = ['\x13/multistream/1.0.0\n', 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'.padEnd(80), '']
  const answers = await Promise.all([
    ...texts.map((text) => answerTo(port, Buffer.from(text))),
    answerTo(port, Buffer.concat([Buffer.from('160301', 'hex'), random])),
    answerTo(port, random),
  ])
  expect(answers.map(({ length }) => length)).toEqual([0, 0, 0, 0, 0])
})

it('a libp2p peer learns neither who is there nor what is spoken', async () => {
  await using networks = new Networks()
  const host = await networks.host({ membership: owner })
  const stranger = await networks.bare()
  // Without the peer id: it is what could be learned.
  await expect(stranger.dial(multiaddr(`/ip4/127.0.0.1/tcp/${portOf(host)}`))).rejects.toThrow()
  expect(stranger.getPeers()).toEqual([])
  expect(await stranger.peerStore.all()).toEqual([])
})

it('traffic of a member is good for nothing when it is played again', async () => {
  await using networks = new Networks()
  const host = await networks.host({ membership: owner })
  await using tap = await recording(portOf(host))
  const membership = await joinPrivateNetwork({ invite: await owner.invite() })
  const member = await networks.add({
    membership,
    bootstrap: [`/ip4/127.0.0.1/tcp/${tap.port}/p2p/${host.peerId}`],
  })
  await member.ping(host.peerId)
  const said = Buffer.concat(tap.dialed)
  const plain = Buffer.concat([...tap.dialed, ...tap.heard]).toString('latin1')
  for (const secret of [host.peerId, member.peerId, owner.network, membership.member]) {
    expect(plain).not.toContain(secret)
  }
  expect(said.length).toBeGreaterThan(500)

  // Of the first knock the port answers one number that is new, and no more: no encryption begins.
  const answer = await answerTo(portOf(host), said)
  expect(answer.length).toBeLessThanOrEqual(64)
  expect(answer.equals(Buffer.concat(tap.heard).subarray(0, answer.length))).toBe(false)
  expect(host.peers()).toEqual([member.peerId])
})

it('who has the secret and no membership gets through the knock, and no further', async () => {
  await using networks = new Networks()
  const host = await networks.host({ membership: owner })
  const { secret } = owner as LocalMembership
  const { createLibp2p } = await import('libp2p')
  const { connectionEncrypters, peerTransports } = await import(
    '../../src/network/peer-transports.ts'
  )
  const { yamux } = await import('@libp2p/yamux')
  const thief = await createLibp2p({
    addresses: { listen: [] },
    transports: await peerTransports({ listen: [], mdns: false }),
    connectionEncrypters: connectionEncrypters(),
    streamMuxers: [yamux()],
    connectionProtector: () => new Knock(secret, 'lab'),
  })
  try {
    const connection = await thief.dial(multiaddr(addressOf(host))).catch(() => undefined)
    // Encryption stands at its side; nothing that it says after that is answered.
    await expect(
      (async () => connection?.newStream(['/manyhands/rpc/1']) ?? Promise.reject(new Error()))(),
    ).rejects.toThrow()
    expect(host.peers()).toEqual([])
  } finally {
    await thief.stop()
  }
})

it('somebody else with the secret makes up a membership in vain, and hears nothing of why', async () => {
  await using networks = new Networks()
  const host = await networks.host({ membership: owner })
  const forged = (await createPrivateNetwork({ name: 'lab' })) as LocalMembership
  // All that a revoked or overheard member could know.
  Object.defineProperty(forged, 'secret', { value: (owner as LocalMembership).secret })
  const thief = await networks.add({ membership: forged })
  const refusal = await thief.connect(addressOf(host)).catch((error) => error)
  expect(refusal.code).not.toBe('INVITE_INVALID')
  expect(refusal.message).not.toContain(owner.network)
  expect(host.peers()).toEqual([])
})

it('members of two networks do not see each other', async () => {
  await using networks = new Networks()
  const host = await networks.host({ membership: owner })
  const others = await createPrivateNetwork({ name: 'other' })
  const invite = await others.invite({ addresses: [addressOf(host)] })
  await expect(
    networks.add({ membership: await joinPrivateNetwork({ invite }) }),
  ).rejects.toMatchObject({ code: 'CONNECT_FAILED' })
})
