import type { TransferSource } from '@manyhands/core'
import { describe, expect, it, vi } from 'vitest'
import { MIB } from '../artifacts/scratch.ts'
import { connectTo, owner, sum, type TestPeer, testPeer } from './peers.ts'
import { slowly } from './slow-governor.ts'

// Several peers with threads of their own share two cores with other tests.
vi.setConfig({ testTimeout: 120_000 })

const SIZE = 48 * MIB

async function fetchAll(receivers: TestPeer[], from: TestPeer & { root: string }) {
  return Promise.all(
    receivers.map(async (receiver) => {
      const sources = new Map<string, TransferSource>()
      const origin = await connectTo(receiver, from)
      await receiver.store.fetch(from.root, origin, {
        onSource: (source) => sources.set(source.peer, source),
      })
      return sources
    }),
  )
}

describe('peers that fetch the same at once', () => {
  it('have it of each other, and its owner gives it little more than once', async () => {
    const from = await owner(SIZE, { governor: slowly(24_000) })
    const receivers = await Promise.all(Array.from({ length: 4 }, () => testPeer()))
    const sources = await fetchAll(receivers, from)
    for (const { store } of receivers) {
      expect(Buffer.from(await store.read(from.root, '')).equals(from.content)).toBe(true)
    }
    expect(sum(from.given)).toBeLessThan(1.5 * SIZE)
    // Everybody helped.
    for (const { given } of receivers) expect(sum(given)).toBeGreaterThan(0)
    for (const from of sources) expect(from.size).toBeGreaterThan(2)
  })

  it('have it all of its owner where one of them gives nothing to others', async () => {
    const from = await owner(12 * MIB)
    const sharing = await testPeer()
    const selfish = await testPeer({ shares: () => false })
    await fetchAll([sharing, selfish], from)
    expect(sum(sharing.given) + sum(selfish.given)).toBe(0)
    expect(sum(from.given)).toBe(24 * MIB)
  })

  it('give nothing to who shows no ticket', async () => {
    const from = await owner(12 * MIB)
    const receiver = await testPeer()
    await receiver.store.fetch(from.root, await connectTo(receiver, from))
    const stranger = await testPeer()
    const origin = await connectTo(stranger, receiver)
    await expect(stranger.store.fetch(from.root, origin)).rejects.toMatchObject({
      code: 'ARTIFACT_MISSING',
    })
  })

  it('go on without one that vanishes', async () => {
    const from = await owner(SIZE, { governor: slowly(24_000) })
    const [leaving, ...staying] = await Promise.all(Array.from({ length: 3 }, () => testPeer()))
    const gone = connectTo(leaving!, from).then((origin) =>
      leaving!.store
        .fetch(from.root, origin, {
          onProgress: (bytes) => {
            if (bytes > 8 * MIB) void leaving!.network.close()
          },
        })
        .catch((error) => error.code),
    )
    await fetchAll(staying, from)
    for (const { store } of staying) {
      expect(Buffer.from(await store.read(from.root, '')).equals(from.content)).toBe(true)
    }
    expect(['PEER_GONE', 'CLOSED', 'CONNECT_FAILED']).toContain(await gone)
  })
})
