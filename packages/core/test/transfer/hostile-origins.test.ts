import { createIdentity, encodeDocument, type FrameStream } from '@manyhands/core'
import { describe, expect, it } from 'vitest'
import { TRANSFER } from '../../src/artifacts/transfer-limits.ts'
import { FRAME } from '../../src/transfer/transfer-frames.ts'
import { failedFrame, haveFrame, peersFrame } from '../../src/transfer/transfer-messages.ts'
import { codeOf, MIB, seededBytes } from '../artifacts/scratch.ts'
import { overlay } from './faulty-way.ts'
import { framed, hostileOrigin, hostilePeer } from './hostile-peer.ts'
import { connectTo, owner, type TestPeer, testPeer } from './peers.ts'
import { slowly } from './slow-governor.ts'

const CONTENT = seededBytes(10 * MIB, 1)

/** What a fetch of an origin that behaves so ends in, and which addresses were dialed on its word. */
async function fetchOf(
  behave: Parameters<typeof hostileOrigin>[1],
  options: { stallMs?: number; remoteHost?: string } = {},
) {
  const { network: origin, root } = await hostileOrigin(CONTENT, behave)
  const receiver = await testPeer({ stallMs: options.stallMs })
  const { network, dialed } = watched(receiver, options.remoteHost)
  const peer = await receiver.network.connect(origin.addresses[0]!)
  const code = await codeOf(receiver.store.fetch(root, { network, peer }))
  if (code === 'resolved') {
    expect(Buffer.compare(await receiver.store.read(root, ''), CONTENT)).toBe(0)
  }
  return { code, dialed, receiver }
}

/** The receiver's network, that says where the origin is, and dials nobody but tells whom it would. */
function watched(receiver: TestPeer, remoteHost?: string) {
  const dialed: string[] = []
  const network = overlay(receiver.network, {
    connect: async (address: string) => {
      dialed.push(address)
      throw new Error('nobody is there')
    },
    openStream: async (...args: Parameters<TestPeer['network']['openStream']>) => {
      const stream = await receiver.network.openStream(...args)
      if (remoteHost === undefined) return stream
      return overlay(stream, { route: { ...stream.route!, remoteHost } })
    },
  })
  return { network, dialed }
}

describe('an origin', () => {
  it('that tells of 10,000 peers makes nobody dial more than a few', async () => {
    const ids = Array.from({ length: 10_000 }, () => createIdentity().peerId)
    const told = Promise.withResolvers<void>()
    const { code, dialed } = await fetchOf({
      news: async (stream) => {
        for (let round = 0; round < 2; round++) {
          for (let first = 0; first < ids.length; first += TRANSFER.swarmPeers) {
            const peers = ids
              .slice(first, first + TRANSFER.swarmPeers)
              .map((peer) => ({ peer, addresses: [`/ip4/127.0.0.1/tcp/1/p2p/${peer}`] }))
            await stream.send(peersFrame(peers))
          }
        }
        told.resolve()
      },
      lane: async (_stream, give) => {
        await told.promise
        await give()
      },
    })
    expect(code).toBe('resolved')
    expect(dialed.length).toBeGreaterThan(0)
    expect(dialed.length).toBeLessThanOrEqual(TRANSFER.peersMet * TRANSFER.askTries)
  })

  it.each<[string, (stream: FrameStream) => Promise<void>]>([
    [
      'more peers than it may at once',
      (stream) => {
        const peers = Array.from({ length: 10_000 }, (_, peer) => ({
          peer: `${peer}`,
          addresses: [],
        }))
        return stream.send(framed(FRAME.peers, encodeDocument(peers)))
      },
    ],
    [
      'the same without end',
      async (stream) => {
        for (;;) await stream.send(haveFrame({ first: 0, bits: Uint8Array.of(1) }))
      },
    ],
  ])('that tells %s is left', async (_what, news) => {
    const { code, receiver } = await fetchOf({ news, lane: async () => {} })
    expect(code).toBe('PROTOCOL')
    expect(receiver.warnings).toEqual(['a peer broke the protocol'])
  })

  it('that sends news instead of content is not waited for, although something moves', async () => {
    const { code, receiver } = await fetchOf({
      lane: async (stream) => {
        const news = haveFrame({ first: 0, bits: new Uint8Array(1) })
        for (;;) await stream.send(news)
      },
    })
    expect(code).toBe('PROTOCOL')
    expect(receiver.warnings).toEqual(['a peer broke the protocol'])
  })

  it('that is still fetching, and never gets anything, is not waited for without end', async () => {
    const { code } = await fetchOf({ found: { partial: true } }, { stallMs: 200 })
    expect(code).toBe('TIMEOUT')
  })

  it('that announces more of a manifest than it sends is not waited for', async () => {
    const { code } = await fetchOf({ found: { bytes: 9000 } }, { stallMs: 300 })
    expect(code).toBe('TIMEOUT')
  })

  it('that sends the manifest byte by byte is understood', async () => {
    expect((await fetchOf({ pieceBytes: 1 })).code).toBe('resolved')
  })

  it.each(['DISK_FULL', 'CANCELED', 'SPEC_INVALID', 'INTERNAL', 'no code'])(
    'that says %s says nothing about us',
    async (said) => {
      const { code } = await fetchOf({
        lane: (stream) => {
          const error = { code: said as never, message: 'so', hint: '', blame: 'caller' as const }
          return stream.send(failedFrame(error))
        },
      })
      expect(code).toBe('PEER_GONE')
    },
  )
})

describe('addresses of others', () => {
  const OWN = 'PEER'
  const addresses = [
    '/ip4/127.0.0.1/tcp/1/p2p/PEER',
    '/ip4/127.9.9.9/tcp/1/p2p/PEER',
    '/ip6/::1/tcp/1/p2p/PEER',
    '/ip6/::ffff:127.0.0.1/tcp/1/p2p/PEER',
    '/ip4/169.254.169.254/tcp/80/p2p/PEER',
    '/ip4/10.0.0.1/tcp/1/p2p/PEER',
    '/ip4/203.0.113.9/tcp/1/p2p/PEER',
    '/ip4/0.0.0.0/tcp/1/p2p/PEER',
    '/ip6/::/tcp/1/p2p/PEER',
    '/ip4/224.0.0.1/tcp/1/p2p/PEER',
    '/ip4/255.255.255.255/tcp/1/p2p/PEER',
    '/dns4/localhost/tcp/1/p2p/PEER',
    '/ip4/203.0.113.9/udp/1/quic-v1/p2p/PEER',
    '/ip4/203.0.113.9/tcp/1/p2p/OTHER/p2p-circuit/p2p/PEER',
    '/ip4/203.0.113.9/tcp/1/p2p/OTHER',
    '/ip4/203.0.113.9/tcp/1',
    '/unix/tmp/socket/p2p/PEER',
    '/ip4/nonsense/tcp/1/p2p/PEER',
    '',
  ]

  it.each([
    ['on this computer', '127.0.0.1', [0, 1, 2, 3, 4, 5, 6]],
    ['on the link', '169.254.3.4', [4, 5, 6]],
    ['in our network', '192.168.1.7', [5, 6]],
    ['in the world', '198.51.100.7', [5, 6]],
    ['nobody knows where', 'some.name', [5, 6]],
  ])(
    'are dialed on the word of one %s as far as that is no harm',
    async (_where, host, allowed) => {
      const ids = Array.from({ length: 3 }, () => createIdentity().peerId)
      const lots: string[][] = []
      for (let at = 0; at < addresses.length; at += 8) lots.push(addresses.slice(at, at + 8))
      const told = Promise.withResolvers<void>()
      const { code, dialed } = await fetchOf(
        {
          news: async (stream) => {
            const peers = lots.map((lot, index) => {
              const peer = ids[index]!
              return { peer, addresses: lot.map((address) => address.replaceAll(OWN, peer)) }
            })
            await stream.send(peersFrame(peers))
            told.resolve()
          },
          lane: async (_stream, give) => {
            await told.promise
            await give()
          },
        },
        { remoteHost: host },
      )
      expect(code).toBe('resolved')
      const plain = dialed.map((address) =>
        ids.reduce((text, id) => text.replace(id, OWN), address),
      )
      expect(plain.sort()).toEqual(allowed.map((index) => addresses[index]!).sort())
    },
  )
})

it('a ticket of one artifact gives nothing of another', async () => {
  const options = { governor: slowly(3000) }
  const from = await owner(12 * MIB, options)
  const secret = await from.store.addBytes(seededBytes(9 * MIB, 3))
  const receiver = await testPeer()
  const origin = await connectTo(receiver, from)
  await receiver.store.fetch(secret.root, origin)
  await receiver.store.fetch(from.root, origin)
  const stranger = await hostilePeer({})
  const tickets = new Map<string, string>()
  for (const root of [from.root, secret.root]) {
    tickets.set(root, (await stranger.open(from.network, { kind: 'artifact', root })).ticket!)
  }
  expect(new Set(tickets.values()).size).toBe(2)
  for (const kind of ['artifact', 'news', 'lane'] as const) {
    for (const root of [from.root, secret.root]) {
      const [right, wrong] = [
        tickets.get(root)!,
        [...tickets.values()].find((t) => t !== tickets.get(root))!,
      ]
      expect(await stranger.asks(receiver.network, { kind, root, ticket: wrong })).toBe(
        'ARTIFACT_MISSING',
      )
      expect(await stranger.asks(receiver.network, { kind, root })).toBe('ARTIFACT_MISSING')
      expect(await stranger.asks(receiver.network, { kind, root, ticket: right })).toBe('given')
    }
  }
})
