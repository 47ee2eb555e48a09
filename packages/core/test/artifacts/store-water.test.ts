import { rm, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type ArtifactStore,
  createArtifactStore,
  type GcSection,
  surveyStore,
} from '@manyhands/core'
import { expect, onTestFinished, test } from 'vitest'
import { memoryNetwork } from './memory-network.ts'
import { bytesOf, codeOf, listFiles, MIB, scratch, writeTree } from './scratch.ts'

const KIB = 1024

async function open(dir: string, keepBytes?: () => number): Promise<ArtifactStore> {
  const store = await createArtifactStore({
    dir,
    ...(keepBytes === undefined ? {} : { keepBytes }),
  })
  onTestFinished(() => store.close())
  return store
}

/** An artifact that is kept, and held by nobody. */
async function kept(store: ArtifactStore, bytes: Uint8Array | number): Promise<string> {
  const content = typeof bytes === 'number' ? bytesOf(bytes) : bytes
  const { root } = await store.addBytes(content, { holder: 'adding' })
  store.keep(root)
  await store.release(root, 'adding')
  return root
}

const present = (store: ArtifactStore, roots: string[]) => roots.map((root) => store.has(root))
const amounts = ({ kept: stays }: GcSection) =>
  Object.fromEntries(stays.map(({ reason, artifacts, bytes }) => [reason, [artifacts, bytes]]))

test('above the high water the least recently used goes, until the low water', async () => {
  const store = await open(await scratch(), () => 100 * KIB)
  const roots: string[] = []
  for (let n = 0; n < 5; n++) roots.push(await kept(store, 20 * KIB))
  await expect.poll(async () => (await store.usage()).bytes).toBe(100 * KIB)
  store.keep(roots[0]!)
  roots.push(await kept(store, KIB))
  // 80 KiB stay at most: the newest, and three of 20 KiB that were used last.
  await expect.poll(() => present(store, roots)).toEqual([true, false, false, true, true, true])
  expect((await store.usage()).bytes).toBe(61 * KIB)
})

test('what is held does not count and never goes; it counts when it is let go', async () => {
  const store = await open(await scratch(), () => 10 * KIB)
  const { root: held } = await store.addBytes(bytesOf(100 * KIB), { holder: 'attempt' })
  store.keep(held)
  const small = await kept(store, 8 * KIB)
  expect(await store.gc({ dryRun: true })).toMatchObject({ removed: { artifacts: 0 } })
  expect(present(store, [held, small])).toEqual([true, true])
  await store.release(held, 'attempt')
  await expect.poll(() => present(store, [held, small])).toEqual([false, true])
})

test('a file that several need counts once, and goes with the last of them', async () => {
  const dir = await scratch()
  const store = await open(join(dir, 'store'))
  const shared = bytesOf(50 * KIB)
  const roots: string[] = []
  for (const name of ['a', 'b', 'c']) {
    const out = await writeTree(join(dir, name), { shared, own: bytesOf(KIB) })
    const { root } = await store.collect(out, ['**'], { holder: 'adding' })
    store.keep(root)
    await store.release(root, 'adding')
    roots.push(root)
  }
  store.retain(roots[1]!, 'attempt')
  const section = await store.gc({ dryRun: true, reasonOf: () => 'attempts that run' })
  expect(amounts(section)).toEqual({
    'attempts that run': [1, 51 * KIB],
    'kept for later jobs': [2, 2 * KIB],
  })
  const gone = await store.gc({ keepBytes: KIB })
  expect(gone.removed).toEqual({ artifacts: 1, files: 1, bytes: KIB })
  expect(present(store, roots)).toEqual([false, true, true])
  expect(Buffer.compare(await store.read(roots[2]!, 'shared'), shared)).toBe(0)
})

test('what was used last is known after a restart', async () => {
  const dir = await scratch()
  const first = await open(dir)
  const roots = [await kept(first, 10 * KIB), await kept(first, 10 * KIB), await kept(first, KIB)]
  const loose = await first.addBytes(bytesOf(10))
  await first.close()
  // A minute is as fine as it is written down.
  await usedAgo(dir, roots, [60, 600, 6000])
  const again = await open(dir)
  expect(again.has(loose.root)).toBe(true)
  await again.gc()
  expect([again.has(loose.root), ...present(again, roots)]).toEqual([false, true, true, true])
  again.keep(roots[2]!)
  await again.gc({ keepBytes: 15 * KIB })
  expect(present(again, roots)).toEqual([true, false, true])
  await again.close()
  const third = await open(dir)
  await third.gc({ keepBytes: 5 * KIB })
  expect(present(third, roots)).toEqual([false, false, true])
  await third.gc({ keepBytes: 0 })
  await third.close()
  expect(await listFiles(dir)).toEqual([])
})

test('a dry run changes nothing, and says what a real one does', async () => {
  const dir = await scratch()
  const store = await open(join(dir, 'store'))
  const roots: string[] = []
  for (let n = 1; n <= 4; n++) roots.push(await kept(store, n * KIB))
  await store.addBytes(bytesOf(7))
  const { root: held } = await store.addBytes(bytesOf(9), { holder: 'job' })
  await store.place((await store.addBytes(bytesOf(3))).root, join(dir, 'placed'), 'link')
  await writeFile(join(dir, 'store/part', `${'a'.repeat(64)}.part`), 'partial')
  await store.close()
  await usedAgo(join(dir, 'store'), roots, [4000, 3000, 2000, 1000])
  await writeFile(join(dir, 'store/part/tmp-of-a-dead-process'), 'x')

  const before = await snapshot(dir)
  const holders = new Map([[held, ['job']]])
  const survey = await surveyStore({ dir: join(dir, 'store'), holders, keepBytes: 6 * KIB })
  expect(await snapshot(dir)).toEqual(before)
  const again = await open(join(dir, 'store'))
  again.retain(held, 'job')
  const dry = await again.gc({ dryRun: true, keepBytes: 6 * KIB })
  const wet = await again.gc({ keepBytes: 6 * KIB })
  expect(wet).toEqual(dry)
  // Opening has removed what the dead process left.
  expect({ ...survey, removed: { ...survey.removed, files: 0, bytes: 0 } }).toEqual({
    ...dry,
    removed: { ...dry.removed, files: 0, bytes: 0 },
  })
  expect(survey.removed.files).toBe(dry.removed.files + 1)
  expect(survey.removed.bytes).toBe(dry.removed.bytes + 1)
  expect(await again.usage()).toMatchObject({ bytes: 4 * KIB + 9 + 7, artifacts: 2 })
  expect(await surveyStore({ dir: join(dir, 'nothing'), holders })).toMatchObject({ kept: [] })
})

/** As if they had been used so many seconds ago. */
async function usedAgo(dir: string, roots: string[], seconds: number[]): Promise<void> {
  for (const [index, root] of roots.entries()) {
    const at = Date.now() / 1000 - seconds[index]!
    await utimes(join(dir, 'kept', root.slice('sha256:'.length)), at, at)
  }
}

async function snapshot(dir: string): Promise<[string, number, number][]> {
  const names = await listFiles(dir)
  return await Promise.all(
    names.map(async (name): Promise<[string, number, number]> => {
      const { size, mtimeMs } = await stat(join(dir, name))
      return [name, size, mtimeMs]
    }),
  )
}

test('what a cut transfer left is kept for the next, counts, and goes when it rests too long', async () => {
  const dir = await scratch()
  const sender = await open(join(dir, 'sender'))
  const receiver = await open(join(dir, 'receiver'))
  const network = memoryNetwork()
  await sender.serve(network, () => true)
  const { root } = await sender.addBytes(bytesOf(12 * MIB))
  const cut = new AbortController()
  const fetching = receiver.fetch(
    root,
    { network, peer: 'sender' },
    { signal: cut.signal, onProgress: (bytes) => bytes > 0 && cut.abort() },
  )
  await expect(fetching).rejects.toThrow()
  const part = join(dir, 'receiver/part')
  const left = await listFiles(part)
  expect(left.map((name) => name.slice(64))).toEqual(['.have', '.part'])
  const section = await receiver.gc()
  expect(section.kept).toMatchObject([
    { reason: 'parts that a cut transfer would need again', artifacts: 0, files: 2 },
  ])
  expect(await listFiles(part)).toEqual(left)
  const longAgo = Date.now() / 1000 - 25 * 3600
  for (const name of left) await utimes(join(part, name), longAgo, longAgo)
  expect((await receiver.gc()).removed.files).toBe(2)
  expect(await listFiles(part)).toEqual([])
})

test('parts of a transfer are in line with artifacts when there is too much', async () => {
  let high = 1000 * KIB
  const dir = await scratch()
  const store = await open(dir, () => high)
  const part = join(dir, 'part', `${'b'.repeat(64)}.part`)
  await writeFile(part, bytesOf(64 * KIB))
  const root = await kept(store, 64 * KIB)
  high = 100 * KIB
  store.settle()
  await expect.poll(async () => (await listFiles(join(dir, 'part'))).length).toBe(0)
  expect(store.has(root)).toBe(true)
})

test('a manifest that is none goes; one that the disk does not give lets its files stay', async () => {
  const dir = await scratch()
  const first = await open(dir)
  const a = await first.addBytes(bytesOf(1000))
  const b = await first.addBytes(bytesOf(2000))
  await first.close()
  const manifestOf = (root: string) => {
    const hex = root.slice('sha256:'.length)
    return join(dir, 'manifests', hex.slice(0, 2), hex)
  }
  await rm(manifestOf(a.root))
  await writeFile(manifestOf(a.root), 'no manifest')
  await rm(manifestOf(b.root))
  // Reading it fails as on a bad disk: it is there, and gives nothing.
  const { mkdir } = await import('node:fs/promises')
  await mkdir(manifestOf(b.root))
  const again = await open(dir)
  const section = await again.gc({ keepBytes: 0 })
  expect(section.removed).toEqual({ artifacts: 0, files: 1, bytes: 0 })
  expect(section.kept).toMatchObject([
    { files: 2, reason: expect.stringContaining('cannot be read') },
  ])
  expect((await listFiles(join(dir, 'cas'))).length).toBe(2)
})

test('an artifact that is kept and lost a file goes, that a fetch brings it again', async () => {
  const dir = await scratch()
  const store = await open(dir)
  const root = await kept(store, 1000)
  const [name] = await listFiles(join(dir, 'cas'))
  await rm(join(dir, 'cas', name!))
  expect((await store.gc()).removed.artifacts).toBe(1)
  expect(store.has(root)).toBe(false)
})

test('room is made of what is kept alone', async () => {
  const store = await open(await scratch())
  const roots = [
    await kept(store, 10 * KIB),
    await kept(store, 10 * KIB),
    await kept(store, 10 * KIB),
  ]
  store.retain(roots[0]!, 'attempt')
  expect(await store.makeRoom(5 * KIB)).toEqual({ artifacts: 1, files: 1, bytes: 10 * KIB })
  expect(present(store, roots)).toEqual([true, false, true])
  expect(await store.makeRoom(Number.POSITIVE_INFINITY)).toMatchObject({ bytes: 10 * KIB })
  expect(await store.makeRoom(1)).toEqual({ artifacts: 0, files: 0, bytes: 0 })
  expect(present(store, roots)).toEqual([true, false, false])
})

test('what is placed, held again or used again while it is tidied up stays whole', async () => {
  const dir = await scratch()
  const store = await open(join(dir, 'store'))
  const tree = await writeTree(
    join(dir, 'out'),
    Object.fromEntries(Array.from({ length: 300 }, (_, n) => [`f${n}`, bytesOf(100)])),
  )
  const { root } = await store.collect(tree, ['**'])
  store.keep(root)
  const later = await kept(store, 10)
  const placing = store.place(root, join(dir, 'placed'), 'link')
  const tidying = store.gc({ keepBytes: 0 })
  // It has begun, and looks at hundreds of files.
  await new Promise(setImmediate)
  store.keep(later)
  await Promise.all([placing, tidying])
  expect(await listFiles(join(dir, 'placed'))).toHaveLength(300)
  expect(store.has(later)).toBe(true)
  await store.gc({ keepBytes: 0 })
  expect(await codeOf(store.place(root, join(dir, 'again'), 'link'))).toBe('ARTIFACT_MISSING')
  expect(await store.usage()).toEqual({ bytes: 0, files: 0, artifacts: 0 })
})
