import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createArtifactStore } from '@manyhands/core'
import { expect, onTestFinished, test } from 'vitest'
import { memoryNetwork } from './memory-network.ts'
import { listFiles, MIB, scratch, seededBytes, writeTree } from './scratch.ts'

/** A sender that counts what leaves it, and a receiver that keeps what it gets. */
async function setup() {
  const dir = await scratch()
  const open = async (name: string) => {
    const store = await createArtifactStore({ dir: join(dir, name) })
    onTestFinished(() => store.close())
    return store
  }
  const [sender, receiver] = [await open('sender'), await open('receiver')]
  const network = memoryNetwork()
  let sent = 0
  await sender.serve(
    network,
    () => true,
    (_root, bytes) => {
      sent += bytes
    },
  )
  let received = 0
  const fetch = async (path: string) => {
    const { root } = await sender.addPath(path)
    sent = 0
    await receiver.fetch(root, { network, peer: 'sender' }, { onProgress: (b) => (received = b) })
    return { root, sent, received }
  }
  return { dir, sender, receiver, fetch, open }
}

/** Changes `part` of the bytes in place, as so many pieces, spread over the file. */
function changed(content: Buffer, part: number, pieces: number): Buffer {
  const next = Buffer.from(content)
  const each = Math.floor((content.length * part) / pieces)
  const slot = content.length / pieces
  for (let piece = 0; piece < pieces; piece++) {
    seededBytes(each, piece + 100).copy(
      next,
      Math.floor(piece * slot + (slot - each) * ((piece * 0.37) % 1)),
    )
  }
  return next
}

test.each([1, 2, 4])(
  'a hundredth of a file changed in place, in pieces (%i), sends three',
  async (n) => {
    const { dir, fetch, receiver } = await setup()
    const path = join(dir, 'scene.blend')
    const before = seededBytes(48 * MIB, 1)
    await writeFile(path, before)
    expect((await fetch(path)).sent).toBe(before.length)
    const after = changed(before, 0.01, n)
    await writeFile(path, after)
    const { root, sent, received } = await fetch(path)
    expect(sent).toBeLessThan(0.03 * after.length)
    expect(received).toBe(sent)
    expect(Buffer.from(await receiver.read(root, '')).equals(after)).toBe(true)
  },
)

test.each([1, MIB])(
  'bytes inserted at the head (%i) send less than a tenth of it',
  async (length) => {
    const { dir, fetch, receiver } = await setup()
    const path = join(dir, 'sequence')
    const before = seededBytes(24 * MIB, 2)
    await writeFile(path, before)
    await fetch(path)
    const after = Buffer.concat([seededBytes(length, 3), before])
    await writeFile(path, after)
    const { root, sent } = await fetch(path)
    expect(sent).toBeLessThan(0.1 * after.length)
    expect(Buffer.from(await receiver.read(root, '')).equals(after)).toBe(true)
  },
)

test('an archive in which one member grew sends little more than that member', async () => {
  const { dir, fetch } = await setup()
  const members = Array.from({ length: 16 }, (_, each) => seededBytes(MIB + 4000, each + 20))
  const path = join(dir, 'textures.tar')
  await writeFile(path, Buffer.concat(members))
  await fetch(path)
  members[5] = seededBytes(MIB + 9000, 5)
  await writeFile(path, Buffer.concat(members))
  expect((await fetch(path)).sent).toBeLessThan(1.8 * MIB)
})

test('of a tree with one changed file only that file is sent', async () => {
  const { dir, fetch } = await setup()
  const tree = await writeTree(join(dir, 'tree'), {
    'a.bin': seededBytes(2 * MIB, 6),
    'b.bin': seededBytes(3 * MIB, 7),
    'c.txt': 'text',
  })
  await fetch(tree)
  await writeFile(join(tree, 'c.txt'), 'other text')
  expect((await fetch(tree)).sent).toBe('other text'.length)
})

test('chunks are found after a restart, and not in a file that was removed', async () => {
  const { dir, sender, receiver, open, fetch } = await setup()
  const path = join(dir, 'file')
  const content = seededBytes(8 * MIB, 8)
  await writeFile(path, content)
  receiver.retain((await fetch(path)).root, 'test')
  const network = memoryNetwork()
  let sent = 0
  await sender.serve(
    network,
    () => true,
    (_root, bytes) => {
      sent += bytes
    },
  )
  await receiver.close()
  const again = await open('receiver')
  await writeFile(path, Buffer.concat([content, seededBytes(10, 9)]))
  const { root } = await sender.addPath(path)
  await again.fetch(root, { network, peer: 'sender' })
  expect(sent).toBeLessThan(MIB)
  await again.gc({ keepBytes: 0 })
  await writeFile(path, Buffer.concat([content, seededBytes(20, 10)]))
  const next = await sender.addPath(path)
  sent = 0
  await again.fetch(next.root, { network, peer: 'sender' })
  expect(sent).toBe(content.length + 20)
})

test('bytes of the store that went bad are not copied but asked for', async () => {
  const { dir, fetch, receiver } = await setup()
  const path = join(dir, 'file')
  const content = seededBytes(8 * MIB, 11)
  await writeFile(path, content)
  await fetch(path)
  const [name] = await listFiles(join(dir, 'receiver/cas'))
  const stored = join(dir, 'receiver/cas', name!)
  const bad = await readFile(stored)
  bad[5 * MIB] = bad[5 * MIB]! ^ 1
  await rm(stored)
  await writeFile(stored, bad)
  const after = Buffer.concat([content, seededBytes(10, 12)])
  await writeFile(path, after)
  const { root, sent } = await fetch(path)
  expect(sent).toBeGreaterThan(64 * 1024)
  expect(sent).toBeLessThan(3 * MIB)
  expect(Buffer.from(await receiver.read(root, '')).equals(after)).toBe(true)
})
