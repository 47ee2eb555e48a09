import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Artifact } from '@manyhands/core'
import { expect, it, onTestFinished } from 'vitest'
import { codeOf, MIB, seededBytes, writeTree } from '../artifacts/scratch.ts'
import { byWay, type FaultyWay, faultyWay, networkByWay } from './faulty-way.ts'
import { connectTo, settled, sum, type TestPeer, testPeer } from './peers.ts'
import { seeded } from './seeded.ts'
import { senderProcess } from './sender-process.ts'
import { openHandles, verifiedBytes } from './store-state.ts'

const OFFSETS = 200
/** Every so many of them it is its process that is killed, and not the connections that are cut. */
const KILLED_EVERY = 20
/** What a fetch may end in, other than the whole artifact. */
const ENDS = ['PEER_GONE', 'CONNECT_FAILED']

/** Many small files, some of several chunks, and one that is most of it. */
function content(): Record<string, Buffer> {
  const files: Record<string, Buffer> = { large: seededBytes(6.9 * MIB, 1) }
  for (let index = 0; index < 40; index++) {
    files[`small/${index}`] = seededBytes(1 + ((index * 7919) % 8000), 2 + index)
  }
  files['middle/1'] = seededBytes(1.3 * MIB, 201)
  files['middle/2'] = seededBytes(0.2 * MIB, 202)
  return files
}

/** In memory where there is some: it is not the disk that is tried here, some hundred times. */
async function quickDir(): Promise<string> {
  const made = await mkdtemp(join('/dev/shm', 'manyhands-gone-')).catch(() =>
    mkdtemp(join(tmpdir(), 'manyhands-gone-')),
  )
  onTestFinished(() => rm(made, { recursive: true, force: true }))
  return made
}

async function fetchByWay(receiver: TestPeer, address: string, root: string, way: FaultyWay) {
  const network = networkByWay(receiver.network, way)
  const peer = await network.connect(await byWay(address, way))
  try {
    await receiver.store.fetch(root, { network, peer })
  } finally {
    await receiver.network.disconnect(peer)
  }
}

it(`a peer that is gone at any of ${OFFSETS} bytes leaves what was verified, and nothing else`, async () => {
  const dir = await quickDir()
  const files = content()
  const tree = await writeTree(join(dir, 'tree'), files)
  const before = await openHandles()
  let killable = senderProcess(dir, tree)
  const sender = await testPeer({ dir: join(dir, 'sender'), allow: () => true })
  const other = await testPeer({ dir: join(dir, 'other'), allow: () => true })
  const receiver = await testPeer({ dir: join(dir, 'receiver') })
  const { root, manifest, size }: Artifact = await sender.store.addPath(tree)
  await other.store.addPath(tree)
  const address = sender.network.addresses[0]!
  const contents = manifest.files.map(({ path }) => files[path]!)
  const verified = () => verifiedBytes(receiver.dir, manifest, contents)
  const way = faultyWay()
  way.fail(undefined)
  await fetchByWay(receiver, address, root, way)
  const { passed } = way
  expect(await verified()).toBe(size)

  const random = seeded(1)
  const ends = new Map<string, number>()
  for (let round = 0; round < OFFSETS; round++) {
    await receiver.network.disconnect(sender.network.peerId)
    await receiver.store.gc({ keepBytes: 0 })
    expect(await verified()).toBe(0)

    const at = Math.floor(random() * passed)
    let end: string
    if (round % KILLED_EVERY === 0) {
      const victim = await killable
      way.fail({ at, act: () => void victim.kill() })
      end = await codeOf(fetchByWay(receiver, victim.address, root, way))
      await victim.kill()
      if (round + KILLED_EVERY < OFFSETS) killable = senderProcess(dir, tree)
    } else {
      way.fail({ at, act: 'cut' })
      end = await codeOf(fetchByWay(receiver, address, root, way))
    }
    expect(way.struck).toBe(true)
    ends.set(end, (ends.get(end) ?? 0) + 1)
    expect(receiver.store.has(root)).toBe(end === 'resolved')
    const kept = await verified()

    // The same one again, or somebody else.
    const next = round % 4 === 1 ? sender : other
    // The other one has given nothing but what was taken to its end, which is counted by then.
    const count = () => sum(next.given)
    const given = next === sender ? await settled(count) : count()
    await receiver.store.fetch(root, await connectTo(receiver, next))
    expect(await verified()).toBe(size)
    // What had been verified was not asked for again.
    expect(count() - given).toBe(size - kept)
  }
  expect([...ends.keys()].filter((end) => end !== 'resolved' && !ENDS.includes(end))).toEqual([])

  for (const { store, network } of [sender, other, receiver]) {
    await store.close()
    await network.close()
  }
  await way.close()
  await expect.poll(openHandles).toEqual(before)
}, 600_000)
