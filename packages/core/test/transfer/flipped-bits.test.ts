import { chmod, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { TransferSource } from '@manyhands/core'
import { expect, it } from 'vitest'
import { codeOf, listFiles, MIB } from '../artifacts/scratch.ts'
import { byWay, faultyWay, networkByWay } from './faulty-way.ts'
import { connectTo, leftovers, owner, testPeer } from './peers.ts'
import { seeded } from './seeded.ts'

const SIZE = 9 * MIB
const FLIPS = 24

it('a bit that is flipped below the encryption ends its connection, and no wrong byte comes', async () => {
  const from = await owner(SIZE)
  const receiver = await testPeer()
  const way = faultyWay()
  const network = networkByWay(receiver.network, way)
  const address = await byWay(from.network.addresses[0]!, way)
  const sources: TransferSource[] = []
  const fetchOnce = async () => {
    const peer = await network.connect(address)
    await receiver.store.fetch(from.root, { network, peer }, { onSource: (s) => sources.push(s) })
    return receiver.store.read(from.root, '')
  }
  await fetchOnce()
  expect(sources.at(-1)).toMatchObject({ path: 'socket' })
  const { passed } = way
  expect(passed).toBeGreaterThan(SIZE)
  const random = seeded(2)
  for (let round = 0; round < FLIPS; round++) {
    await receiver.network.disconnect(from.network.peerId)
    await receiver.store.gc({ keepBytes: 0 })
    way.fail({ at: Math.floor(random() * passed), act: 'flip' })
    const code = await codeOf(fetchOnce())
    expect(way.struck).toBe(true)
    expect(['resolved', 'PEER_GONE', 'CONNECT_FAILED']).toContain(code)
    way.fail(undefined)
    expect(Buffer.compare(await fetchOnce(), from.content)).toBe(0)
    expect(await leftovers(receiver)).toEqual([])
  }
})

it('a bit that is flipped in the store of a sender names it, and another one gives the right bytes', async () => {
  const from = await owner(SIZE)
  const damaged = await testPeer({ allow: () => true })
  await damaged.store.fetch(from.root, await connectTo(damaged, from))
  const [stored] = await listFiles(join(damaged.dir, 'cas'))
  const path = join(damaged.dir, 'cas', stored!)
  const bytes = await readFile(path)
  bytes[5 * MIB] = bytes[5 * MIB]! ^ 4
  await chmod(path, 0o600)
  await writeFile(path, bytes)

  const receiver = await testPeer()
  const failure = await receiver.store
    .fetch(from.root, await connectTo(receiver, damaged))
    .catch((error) => error)
  expect(failure).toMatchObject({ code: 'ARTIFACT_CORRUPT', blame: 'network' })
  expect(failure.message).toContain(damaged.network.peerId)
  expect(receiver.warnings).toEqual(['a peer sent wrong bytes'])
  expect(receiver.store.has(from.root)).toBe(false)
  expect(await readdir(join(receiver.dir, 'cas'))).toEqual([])

  await receiver.store.fetch(from.root, await connectTo(receiver, from))
  expect(Buffer.compare(await receiver.store.read(from.root, ''), from.content)).toBe(0)
  expect(await leftovers(receiver)).toEqual([])
  // Nobody reads damaged bytes as if they were right, at its own store neither.
  expect(await codeOf(damaged.store.read(from.root, ''))).toBe('ARTIFACT_CORRUPT')
})

it('a bit that is flipped in what is here already is noticed before it counts', async () => {
  const from = await owner(SIZE)
  const receiver = await testPeer()
  const way = faultyWay()
  const network = networkByWay(receiver.network, way)
  way.fail({ at: 6 * MIB, act: 'cut' })
  const peer = await network.connect(await byWay(from.network.addresses[0]!, way))
  expect(await codeOf(receiver.store.fetch(from.root, { network, peer }))).toBe('PEER_GONE')
  const part = (await leftovers(receiver)).find((name) => name.endsWith('.part'))!
  const bytes = await readFile(join(receiver.dir, 'part', part))
  for (let at = 0; at < bytes.length; at += MIB / 2) bytes[at] = bytes[at]! ^ 128
  await writeFile(join(receiver.dir, 'part', part), bytes)

  await receiver.store.fetch(from.root, await connectTo(receiver, from))
  expect(Buffer.compare(await receiver.store.read(from.root, ''), from.content)).toBe(0)
})
