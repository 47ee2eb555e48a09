import { chmod, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type ArtifactStore, createArtifactStore, type ManifestFile } from '@manyhands/core'
import { expect, onTestFinished, test } from 'vitest'
import { fileId } from '../../src/artifacts/manifest.ts'
import { memoryNetwork } from './memory-network.ts'
import { bytesOf, codeOf, listFiles, MIB, scratch, writeTree } from './scratch.ts'

/** A sender that counts what leaves it, and a receiver that has fetched a tree of two files and a program. */
async function setup() {
  const dir = await scratch()
  const open = async (name: string) => {
    const store = await createArtifactStore({ dir: join(dir, name) })
    onTestFinished(() => store.close())
    return store
  }
  const sender = await open('sender')
  const receiver = await open('receiver')
  const network = memoryNetwork()
  let sent = 0
  await sender.serve(
    network,
    () => true,
    (_root, bytes) => {
      sent += bytes
    },
  )
  const files = { large: bytesOf(5 * MIB), small: bytesOf(1000), 'run.sh': bytesOf(500) }
  const tree = await writeTree(join(dir, 'tree'), files)
  const { root, manifest } = await sender.addPath(tree)
  const fetch = async () => {
    const before = sent
    await receiver.fetch(root, { network, peer: 'sender' })
    return sent - before
  }
  await fetch()
  const entry = (path: string) => manifest.files.find((file) => file.path === path)!
  const pathOf = (path: string) => storedAt(join(dir, 'receiver'), entry(path))
  return { dir, open, sender, receiver, network, files, root, fetch, entry, pathOf }
}

function storedAt(store: string, file: ManifestFile): string {
  const id = fileId(file)
  return join(store, 'cas', id.slice(0, 2), id)
}

async function flipBit(path: string, at: number): Promise<void> {
  const bytes = await readFile(path)
  bytes[at] = bytes[at]! ^ 16
  const { mode } = await stat(path)
  await chmod(path, 0o600)
  await writeFile(path, bytes)
  await chmod(path, mode)
}

const read = (store: ArtifactStore, root: string, path: string) => store.read(root, path)

test('a flipped bit is found by who reads, and the next fetch brings that file alone', async () => {
  const { receiver, root, files, fetch, pathOf } = await setup()
  receiver.keep(root)
  await flipBit(pathOf('large'), 3 * MIB)
  // Others can still be read, and say nothing of it.
  expect(Buffer.compare(await read(receiver, root, 'small'), files.small)).toBe(0)
  expect(receiver.has(root)).toBe(true)
  expect(await codeOf(read(receiver, root, 'large'))).toBe('ARTIFACT_CORRUPT')
  expect(receiver.has(root)).toBe(false)
  expect(await codeOf(read(receiver, root, 'large'))).toBe('ARTIFACT_MISSING')
  expect(await fetch()).toBe(5 * MIB)
  for (const [path, bytes] of Object.entries(files)) {
    expect(Buffer.compare(await read(receiver, root, path), bytes), path).toBe(0)
  }
})

test('of an artifact that is held, what is whole can be read while the rest is missing', async () => {
  const { receiver, root, files, fetch, pathOf } = await setup()
  receiver.retain(root, 'job')
  await flipBit(pathOf('large'), 0)
  expect(await codeOf(read(receiver, root, 'large'))).toBe('ARTIFACT_CORRUPT')
  expect(receiver.has(root)).toBe(false)
  expect(Buffer.compare(await read(receiver, root, 'small'), files.small)).toBe(0)
  expect(await codeOf(read(receiver, root, 'large'))).toBe('ARTIFACT_CORRUPT')
  await receiver.gc({ keepBytes: 0 })
  expect(await fetch()).toBe(5 * MIB)
  expect(receiver.has(root)).toBe(true)
  expect(Buffer.compare(await read(receiver, root, 'large'), files.large)).toBe(0)
})

test.each([
  ['shorter', (path: string) => truncate(path, 4 * MIB)],
  ['gone', (path: string) => rm(path)],
] as const)('a file that is %s is found when it is placed by link', async (_, damage) => {
  const { dir, receiver, root, files, fetch, pathOf } = await setup()
  receiver.keep(root)
  await chmod(pathOf('large'), 0o600)
  await damage(pathOf('large'))
  const target = join(dir, 'placed')
  expect(await codeOf(receiver.place(root, target, 'link'))).toBe('ARTIFACT_CORRUPT')
  expect(receiver.has(root)).toBe(false)
  expect(await fetch()).toBe(5 * MIB)
  await receiver.place(root, target, 'link')
  expect(Buffer.compare(await readFile(join(target, 'large')), files.large)).toBe(0)
})

test('a flipped bit is found when a copy is placed, of which nothing is left', async () => {
  const { dir, receiver, root, fetch, pathOf } = await setup()
  await flipBit(pathOf('large'), 5 * MIB - 1)
  expect(await codeOf(receiver.place(root, join(dir, 'placed'), 'copy'))).toBe('ARTIFACT_CORRUPT')
  expect(await listFiles(join(dir, 'placed'))).not.toContain('large')
  await fetch()
  await receiver.place(root, join(dir, 'placed'), 'copy')
})

test('an executable twin is looked at as well', async () => {
  const { dir, receiver, root, files, fetch, pathOf } = await setup()
  await receiver.place(root, join(dir, 'first'), 'link')
  await flipBit(`${pathOf('run.sh')}.x`, 7)
  await flipBit(pathOf('small'), 7)
  expect(await codeOf(read(receiver, root, 'small'))).toBe('ARTIFACT_CORRUPT')
  expect(await fetch()).toBe(1500)
  await receiver.place(root, join(dir, 'second'), 'link')
  expect(Buffer.compare(await readFile(join(dir, 'second/run.sh')), files['run.sh'])).toBe(0)
})

test('whoever shares a damaged file has lost it, too; others have not', async () => {
  const { dir, receiver, root, pathOf, files } = await setup()
  const shares = await writeTree(join(dir, 'shares'), { copy: files.large, own: 'own' })
  const alone = await writeTree(join(dir, 'alone'), { own: 'own' })
  const [sharing, other] = [
    await receiver.collect(shares, ['**']),
    await receiver.collect(alone, ['**']),
  ]
  await flipBit(pathOf('large'), 9)
  expect(await codeOf(read(receiver, root, 'large'))).toBe('ARTIFACT_CORRUPT')
  expect([root, sharing.root, other.root].map((one) => receiver.has(one))).toEqual([
    ...[false, false, true],
  ])
})

test('a sender that cannot read what it has any more lets go of it', async () => {
  const { dir, receiver, root, open, network, pathOf } = await setup()
  await receiver.serve(network, () => true)
  await chmod(pathOf('large'), 0o600)
  await truncate(pathOf('large'), 10)
  const third = await open('third')
  const code = await codeOf(third.fetch(root, { network, peer: 'receiver' }))
  expect(code).not.toBe('resolved')
  await expect.poll(() => receiver.has(root)).toBe(false)
  expect(await listFiles(join(dir, 'third/cas'))).not.toContain('large')
})

test('what is read well is not let go of, whatever else fails', async () => {
  const { dir, receiver, root, fetch, pathOf } = await setup()
  await writeFile(join(dir, 'in-the-way'), '')
  expect(await codeOf(receiver.place(root, join(dir, 'in-the-way/x'), 'link'))).not.toBe('resolved')
  expect(await codeOf(read(receiver, root, 'nothing'))).toBe('NOT_FOUND')
  expect(receiver.has(root)).toBe(true)
  expect(await fetch()).toBe(0)
  expect((await stat(pathOf('large'))).size).toBe(5 * MIB)
})

test('bytes that are given again take the place of what went bad', async () => {
  const dir = await scratch()
  await using store = await createArtifactStore({ dir })
  const bytes = bytesOf(2 * MIB)
  const { root, manifest } = await store.addBytes(bytes)
  await flipBit(storedAt(dir, manifest.files[0]!), MIB)
  expect((await store.addBytes(bytes)).root).toBe(root)
  expect(Buffer.compare(await store.read(root, ''), bytes)).toBe(0)
})
