import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { createIdentity, createNetwork } from '@manyhands/core'
import { multiaddr } from '@multiformats/multiaddr'
import { expect, test } from 'vitest'
import { DialRules } from '../../src/network/dial-rules.ts'
import { createNode } from '../../src/network/libp2p-node.ts'
import { PeerGate } from '../../src/network/peer-gate.ts'

const OWN = [
  { address: '127.0.0.1', cidr: '127.0.0.1/8' },
  { address: '192.168.1.5', cidr: '192.168.1.5/24' },
  { address: '100.101.1.1', cidr: '100.101.1.1/32' },
  { address: 'fd00:1::5', cidr: 'fd00:1::5/64' },
]
const FAR = '203.0.113.9'

/** Rules of a computer whose peers are at some addresses; `by` has the last one. */
function rules(hosts: (string | undefined)[], names: Record<string, string[]> = {}) {
  return new DialRules({
    hosts: (peer) => (peer === undefined ? hosts : hosts.slice(-1)),
    own: () => OWN,
    resolve: async (name) => names[name] ?? [],
  })
}

const at = (host: string) => multiaddr(`/${host.includes(':') ? 'ip6' : 'ip4'}/${host}/tcp/80`)

test.each<[string, string, (string | undefined)[], boolean]>([
  ['the world', '198.51.100.7', [FAR], true],
  ['nowhere', '0.0.0.0', ['127.0.0.1'], false],
  ['a group', '224.0.0.1', ['127.0.0.1'], false],
  ['this computer, told from afar', '127.0.0.1', [FAR], false],
  ['this computer, told over a relay', '127.0.0.1', [undefined], false],
  ['this computer, told on it', '127.0.0.1', ['127.0.0.1'], true],
  ['this computer, told on it at another address', '127.0.0.1', ['192.168.1.5'], true],
  ['this computer, and somebody is far away', '127.0.0.1', [FAR, '127.0.0.1'], false],
  ['this computer as IPv6', '::1', [FAR], false],
  ['this computer as IPv4 in IPv6', '::ffff:127.0.0.1', [FAR], false],
  ['our own address, told from afar', '192.168.1.5', [FAR], false],
  ['our own address, told in the LAN', '192.168.1.5', ['192.168.1.9'], true],
  ['our LAN', '192.168.1.77', [FAR], true],
  ['another LAN', '192.168.7.7', [FAR], false],
  ['another LAN that a peer is in', '10.1.2.3', ['10.9.9.9'], true],
  ['the same tunnel', '100.102.7.7', [FAR], true],
  ['our LAN as IPv6', 'fd00:1::77', [FAR], true],
  ['the link', '169.254.3.4', [FAR], false],
  ['secrets of a cloud', '169.254.169.254', ['169.254.1.1', '127.0.0.1'], false],
])('%s (%s) with peers at %j: %j', async (_, host, hosts, allowed) => {
  expect(await rules(hosts).allows(at(host))).toBe(allowed)
})

test('one that is known to be on this computer may tell of it, whoever else is connected', async () => {
  expect(await rules([FAR, '127.0.0.1']).allows(at('127.0.0.1'), 'by')).toBe(true)
  expect(await rules(['127.0.0.1', FAR]).allows(at('127.0.0.1'), 'by')).toBe(false)
})

test('names are looked up before they are dialed', async () => {
  const names = { inner: ['198.51.100.7', '127.0.0.1'], outer: ['198.51.100.7'] }
  const some = rules([FAR], names)
  expect(await some.allows(multiaddr('/dns4/inner/tcp/80'))).toBe(false)
  expect(await some.allows(multiaddr('/dns4/outer/tcp/80'))).toBe(true)
})

test('what was named here is dialed, with any peer id', async () => {
  const some = rules([FAR])
  some.name(at('10.0.0.1'))
  expect(await some.allows(at('10.0.0.1'))).toBe(true)
  const { peerId } = createIdentity()
  expect(await some.allows(multiaddr(`/ip4/10.0.0.1/tcp/80/p2p/${peerId}`))).toBe(true)
  expect(await some.allows(multiaddr('/ip4/10.0.0.1/tcp/81'))).toBe(false)
})

test('a peer far away cannot have us connect to a port of this computer', async () => {
  let connects = 0
  const server = createServer((socket) => {
    connects += 1
    socket.destroy()
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  const asked = rules([FAR])
  const { seed } = createIdentity()
  const node = await createNode({
    seed,
    listen: [],
    mdns: false,
    gossip: false,
    gate: new PeerGate(),
    rules: asked,
  })
  await node.start()
  try {
    const trap = multiaddr(`/ip4/127.0.0.1/tcp/${port}`)
    await expect(node.dial(trap)).rejects.toThrow()
    expect(connects).toBe(0)
    asked.name(trap)
    await expect(node.dial(trap)).rejects.toThrow()
    expect(connects).toBe(1)
  } finally {
    await node.stop()
    server.close()
  }
})

test('an address of a private network that was told says why it is not dialed', async () => {
  await using network = await createNetwork({ gossip: false })
  const secrets = '/ip4/169.254.169.254/tcp/80'
  await expect(network.connect(secrets, { told: {} })).rejects.toMatchObject({
    code: 'CONNECT_FAILED',
    message: expect.stringContaining('a private network that this computer is not in'),
  })
})
