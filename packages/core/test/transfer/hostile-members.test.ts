import { setTimeout as delay } from 'node:timers/promises'
import { encodeDocument, type FrameStream, LIMITS, type TransferSource } from '@manyhands/core'
import { describe, expect, it } from 'vitest'
import { TRANSFER } from '../../src/artifacts/transfer-limits.ts'
import { bytesFrame, FRAME, readWant } from '../../src/transfer/transfer-frames.ts'
import { haveFrame } from '../../src/transfer/transfer-messages.ts'
import { MIB } from '../artifacts/scratch.ts'
import { framed, type HostilePeer, hostilePeer, type Misbehaviour } from './hostile-peer.ts'
import { connectTo, leftovers, owner, type TestPeer, testPeer } from './peers.ts'
import { slowly } from './slow-governor.ts'

const SIZE = 16 * MIB

/** Two that fetch an artifact of a slow owner, and one that only says so. */
async function swarm(
  behave: Misbehaviour | ((content: Uint8Array) => Misbehaviour),
  options: { stallMs?: number } = {},
) {
  const from = await owner(SIZE, { governor: slowly(4000) })
  const hostile = await hostilePeer(typeof behave === 'function' ? behave(from.content) : behave)
  await hostile.join(from.network, from.root)
  const receivers = [await testPeer(options), await testPeer(options)]
  const sources: TransferSource[] = []
  await Promise.all(
    receivers.map(async (receiver) =>
      receiver.store.fetch(from.root, await connectTo(receiver, from), {
        onSource: (source) => sources.push(source),
      }),
    ),
  )
  for (const receiver of receivers) {
    const content = await receiver.store.read(from.root, '')
    expect(Buffer.compare(content, from.content)).toBe(0)
    expect(await leftovers(receiver)).toEqual([])
  }
  return { from, hostile, receivers, sources }
}

function expectNamed(receivers: TestPeer[], { network, asked }: HostilePeer): void {
  expect(asked.length).toBeGreaterThan(0)
  const warned = receivers.flatMap(({ warned }) => warned)
  expect(warned.length).toBeGreaterThan(0)
  for (const { context } of warned) expect(context).toMatchObject({ peer: network.peerId })
}

describe('one of a swarm', () => {
  it.each<[string, Misbehaviour]>([
    [
      'sends random bytes',
      {
        lane: async (stream) => {
          for (let frame = await stream.next(); frame !== undefined; frame = await stream.next()) {
            const bytes = readWant(frame).reduce((sum, [, , length]) => sum + length, 0)
            for (let sent = 0; sent < bytes; sent += TRANSFER.frameBytes) {
              const frame = bytesFrame(FRAME.data, Math.min(TRANSFER.frameBytes, bytes - sent))
              await stream.send(frame.fill(7, 1))
            }
          }
        },
      },
    ],
    ['sends frames that there are not', { lane: (stream) => stream.send(Uint8Array.of(99, 1, 2)) }],
    ['sends empty frames', { lane: (stream) => stream.send(Uint8Array.of(FRAME.data)) }],
    [
      'tells of blocks that there are not',
      { news: (stream) => stream.send(haveFrame({ first: 2 ** 40, bits: Uint8Array.of(1) })) },
    ],
    [
      'tells of a megabyte of blocks',
      {
        news: async (stream) => {
          const bits = new Uint8Array(LIMITS.streamFrameBytes - 100)
          await stream.send(haveFrame({ first: 0, bits }))
        },
      },
    ],
    [
      'tells of peers, which is for owners to do',
      { news: (stream) => stream.send(framed(FRAME.peers, encodeDocument([]))) },
    ],
    [
      'tells nonsense',
      { news: (stream) => stream.send(framed(FRAME.have, Uint8Array.of(0xff, 0xff))) },
    ],
  ])('that %s is named and dropped, and all get the right bytes', async (_what, behave) => {
    const { receivers, hostile, sources } = await swarm(behave)
    expectNamed(receivers, hostile)
    expect(
      sources.some((source) => source.peer === hostile.network.peerId && source.bytes > 0),
    ).toBe(false)
  })

  it.each<[string, (content: Uint8Array) => Misbehaviour, number]>([
    ['gives nothing', () => ({}), 600_000],
    [
      'gives a byte a second',
      (content) => ({ lane: (stream) => giveSlowly(stream, content, 1) }),
      600_000,
    ],
    [
      'gives twice as much as it takes not to be given up',
      (content) => ({ lane: (stream) => giveSlowly(stream, content, 2 * TRANSFER.progressBytes) }),
      1000,
    ],
  ])('that has everything and %s holds nobody up', async (_what, behave, stallMs) => {
    const { hostile } = await swarm(behave, { stallMs })
    expect(hostile.asked.some(({ kind }) => kind === 'lane')).toBe(true)
  })
})

/** Gives what is wanted, so many bytes a second. */
async function giveSlowly(stream: FrameStream, content: Uint8Array, bytes: number): Promise<void> {
  for (let frame = await stream.next(); frame !== undefined; frame = await stream.next()) {
    for (const [, position, length] of readWant(frame)) {
      for (let at = position; at < position + length; at += bytes) {
        const end = Math.min(position + length, at + bytes)
        await stream.send(framed(FRAME.data, content.subarray(at, end)))
        await delay(1000, undefined, { ref: false })
      }
    }
  }
}
