import { once } from 'node:events'
import type { TransferSource } from '@manyhands/core'
import { describe, expect, it, vi } from 'vitest'
import { codeOf, MIB } from '../artifacts/scratch.ts'
import { connectTo, leftovers, owner, sum, testPeer } from './peers.ts'

// Threads start beside other tests on two cores.
vi.setConfig({ testTimeout: 120_000 })

const WEBSOCKETS = { listen: ['/ip4/127.0.0.1/tcp/0/ws'] }

describe('what content goes over', () => {
  it('is a socket beside the connection where its receiver dialed', async () => {
    const from = await owner(12 * MIB)
    const receiver = await testPeer()
    const sources: TransferSource[] = []
    await receiver.store.fetch(from.root, await connectTo(receiver, from), {
      onSource: (source) => sources.push(source),
    })
    expect(sources.at(-1)).toMatchObject({ path: 'socket', bytes: 12 * MIB })
    expect(sources.at(-1)!.ratePerSecond).toBeGreaterThan(0)
    expect(Buffer.from(await receiver.store.read(from.root, '')).equals(from.content)).toBe(true)
    expect(sum(from.given)).toBe(12 * MIB)
    expect(await leftovers(receiver)).toEqual([])
  })

  it('is a socket where its receiver was dialed', async () => {
    const from = await owner(12 * MIB)
    const receiver = await testPeer()
    const seen = once(receiver.network, 'peer:connect')
    await connectTo(from, receiver)
    await seen
    const sources: TransferSource[] = []
    await receiver.store.fetch(
      from.root,
      { network: receiver.network, peer: from.network.peerId },
      { onSource: (source) => sources.push(source) },
    )
    expect(sources.at(-1)).toMatchObject({ path: 'socket', bytes: 12 * MIB })
    expect(Buffer.from(await receiver.store.read(from.root, '')).equals(from.content)).toBe(true)
  })

  it('is a stream of the connection over websockets, and for what is small', async () => {
    const from = await owner(12 * MIB, { network: WEBSOCKETS })
    const receiver = await testPeer()
    const sources: TransferSource[] = []
    await receiver.store.fetch(from.root, await connectTo(receiver, from), {
      onSource: (source) => sources.push(source),
    })
    expect(sources.at(-1)).toMatchObject({ path: 'stream', bytes: 12 * MIB })
    expect(Buffer.from(await receiver.store.read(from.root, '')).equals(from.content)).toBe(true)

    const small = await owner(MIB)
    await receiver.store.fetch(small.root, await connectTo(receiver, small), {
      onSource: (source) => sources.push(source),
    })
    expect(sources.at(-1)).toMatchObject({ path: 'stream', bytes: MIB })
  })

  it('is not given to a peer whose lanes are not allowed any more', async () => {
    let allowed = true
    const from = await owner(40 * MIB, { allow: () => allowed })
    const receiver = await testPeer()
    const fetching = receiver.store.fetch(from.root, await connectTo(receiver, from), {
      onProgress: (bytes) => {
        if (bytes > 0) allowed = false
      },
    })
    expect(await codeOf(fetching)).toBe('ARTIFACT_MISSING')
    expect(sum(from.given)).toBeLessThan(40 * MIB)
  })
})

it('wrong bytes name their sender, and nothing of them counts', async () => {
  const from = await owner(12 * MIB)
  const receiver = await testPeer()
  const { writeFile, utimes, stat } = await import('node:fs/promises')
  const { atimeMs, mtimeMs } = await stat(from.path)
  from.content[6 * MIB] = from.content[6 * MIB]! ^ 1
  await writeFile(from.path, from.content)
  await utimes(from.path, atimeMs / 1000, mtimeMs / 1000)
  const failure = await receiver.store
    .fetch(from.root, await connectTo(receiver, from))
    .catch((error) => error)
  expect(['ARTIFACT_CORRUPT', 'INPUT_CHANGED']).toContain(failure.code)
  if (failure.code === 'ARTIFACT_CORRUPT') {
    expect(failure.message).toContain(from.network.peerId)
    expect(receiver.warnings).toContain('a peer sent wrong bytes')
  }
  expect(await receiver.store.get(from.root)).toBeUndefined()
})
