import { readFile } from 'node:fs/promises'
import type { Connection, Libp2p, Stream } from '@libp2p/interface'
import { createClient } from '@manyhands/client'
import { createNetwork, decodeDocument, decodeEvents, encodeDocument } from '@manyhands/core'
import { createHost } from '@manyhands/host'
import { multiaddr } from '@multiformats/multiaddr'
import { afterEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { scripted } from '../src/index.ts'
import { barePeer, framesOf, word } from './hostile/bare-peer.ts'

/** What one version of the protocol looks like, byte for byte: frames of a client, answers of a host. */
interface Exchange {
  version: number
  protocols: Record<'rpc' | 'events' | 'artifacts', string>
  root: string
  manifest: string
  frames: Record<'hello' | 'offer' | 'events' | 'artifact' | 'acknowledge', string>
  answers: Record<'hello' | 'offer' | 'acknowledge', string>
}

const vectors = JSON.parse(
  await readFile(new URL('../../../docs/protocol/vectors.json', import.meta.url), 'utf8'),
) as { identity: { seed: string; peerId: string }; exchanges: Exchange[] }

const HOST_LISTENS = ['/ip4/127.0.0.1/tcp/0']
const seed = Buffer.from(vectors.identity.seed, 'hex')
const bytesOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'))

const decodeValue = (bytes: Uint8Array, what: string): unknown =>
  decodeDocument(z.unknown(), bytes, what)

const closers: (() => Promise<unknown> | unknown)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

async function bare(listen: string[] = []): Promise<Libp2p> {
  const peer = await barePeer({ seed, listen })
  closers.push(() => peer.stop())
  return peer
}

async function host() {
  const made = await createHost({
    runtimes: [scripted()],
    share: { cpus: 2, memory: '1GiB', disk: '1GiB' },
    network: { listen: HOST_LISTENS, gossip: false },
  })
  closers.push(() => made.close())
  return made
}

/** Every field that a reader of that version knows is still there, with a value of the same kind. */
function expectLike(actual: unknown, example: unknown, where = ''): void {
  expect(typeof actual, where).toBe(typeof example)
  if (example === null || typeof example !== 'object') return
  expect(Array.isArray(actual), where).toBe(Array.isArray(example))
  if (Array.isArray(example)) {
    const [first] = example as unknown[]
    if (first !== undefined) {
      for (const one of actual as unknown[]) {
        // Members of a list may leave out what does not concern them.
        if (typeof one === 'string') expect(typeof one, where).toBe(typeof first)
      }
    }
    return
  }
  for (const [name, value] of Object.entries(example)) {
    // What an offer may leave out, and labels, which are the owner's.
    if (['labels', 'instance'].includes(name) || where.endsWith('.platform')) continue
    expectLike((actual as Record<string, unknown>)[name], value, `${where}.${name}`)
  }
}

/** Asks with the bytes of the vectors, one after the other, and reads the answers. */
class Asking {
  readonly #frames: AsyncGenerator<{ body: Uint8Array }>
  readonly stream: Stream
  constructor(stream: Stream) {
    this.stream = stream
    this.#frames = framesOf(stream)
  }

  async ask(hex: string): Promise<unknown> {
    this.stream.send(bytesOf(hex))
    const { value } = await this.#frames.next()
    return decodeValue((value as { body: Uint8Array }).body, 'answer')
  }
}

const envelopeOf = (hex: string): unknown => decodeValue(bytesOf(hex).subarray(4), 'golden answer')

describe.each(vectors.exchanges)(
  'version $version',
  ({ protocols, frames, answers, root, manifest }) => {
    test('a client of it is served: hello, offer, events, artifact, acknowledgement', async () => {
      const { addresses } = await host()
      const peer = await bare()
      const connection: Connection = await peer.dial(multiaddr(addresses[0]))
      const rpc = new Asking(await connection.newStream(protocols.rpc))
      expectLike(await rpc.ask(frames.hello), envelopeOf(answers.hello))
      const offered = await rpc.ask(frames.offer)
      expectLike(offered, envelopeOf(answers.offer))
      expect(offered).toMatchObject({ result: { answers: [{ id: 'golden.1', accepted: true }] } })

      const events = await connection.newStream(protocols.events)
      events.send(bytesOf(frames.events))
      const kindAndLength = (first: number): number => (first >>> 24 === 0 ? first & 0xffffff : 0)
      let end: unknown
      for await (const { word: first, body } of framesOf(events, kindAndLength)) {
        if (first >>> 24 !== 0) continue
        end = decodeEvents(body).find((event) => event.end !== undefined)?.end
        if (end !== undefined) break
      }
      expect(end).toMatchObject({ exitCode: 0, outputs: { root } })

      const artifact = await connection.newStream(protocols.artifacts)
      artifact.send(bytesOf(frames.artifact))
      const kinds: number[] = []
      for await (const { body } of framesOf(artifact, kindAndLength)) {
        kinds.push(body[0]!)
        if (body[0] !== 18) continue
        expect(Buffer.from(body.subarray(1)).toString('hex')).toBe(manifest)
        break
      }
      // Found, then the manifest.
      expect(kinds.slice(0, 2)).toEqual([17, 18])
      expect(await rpc.ask(frames.acknowledge)).toEqual(envelopeOf(answers.acknowledge))
    })

    test('a host of it is known to a client of today', async () => {
      const peer = await bare(HOST_LISTENS)
      await peer.handle(protocols.rpc, async (stream: Stream) => {
        for await (const { body } of framesOf(stream)) {
          const { id, method } = decodeValue(body, 'request') as { id: number; method: string }
          if (method === 'hello') {
            // Its number is the asker's, all else is as it was.
            const golden = envelopeOf(answers.hello) as Record<string, unknown>
            const answer = encodeDocument({ ...golden, id })
            stream.send(word(answer.length))
            stream.send(answer)
            continue
          }
          const error = { code: 'PROTOCOL', message: 'not here', hint: '-', blame: 'network' }
          const answer = encodeDocument({ v: 1, id, ok: false, error })
          stream.send(word(answer.length))
          stream.send(answer)
        }
      })
      const bootstrap = peer.getMultiaddrs().map((address) => address.toString())
      await using client = await createClient({ network: { bootstrap } })
      const [found] = await client.waitForHosts({ min: 1, timeout: '20s' })
      expect(found).toMatchObject({ peerId: vectors.identity.peerId, cpus: 6 })
    })
  },
)

test.each([
  ['newer', '/manyhands/rpc/9', 'Update manyhands on this computer'],
  ['older', '/manyhands/rpc/0', 'Update manyhands on the other computer'],
])(
  'a peer that only speaks a %s version is refused, and it is said who has to update',
  async (_, name, hint) => {
    const peer = await bare(HOST_LISTENS)
    await peer.handle(name, () => {})
    await using network = await createNetwork({ gossip: false })
    await network.connect(peer.getMultiaddrs()[0]!.toString())
    const hello = { v: 1 as const, agent: 'test', heartbeatMs: 1000 }
    await expect(network.call(peer.peerId.toString(), 'hello', hello)).rejects.toMatchObject({
      code: 'PROTOCOL',
      message: expect.stringContaining(
        `speaks version ${name.at(-1)} of the protocol, this computer 1 and 2`,
      ),
      hint: expect.stringContaining(hint),
    })
  },
)

test('of two versions that both speak the newest is taken', async () => {
  const { addresses } = await host()
  await using network = await createNetwork({ gossip: false })
  const there = await network.connect(addresses[0]!)
  const asked = { v: 1 as const, agent: 'test', heartbeatMs: 1000 }
  // Only the newer one tells clocks.
  expect(await network.call(there, 'hello', asked)).toMatchObject({ clockMs: expect.any(Number) })
  expect(network.connections()[0]?.clockAheadMs).toBeTypeOf('number')
})
