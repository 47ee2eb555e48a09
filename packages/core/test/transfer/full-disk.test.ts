import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { createArtifactStore, type TransferSource } from '@manyhands/core'
import { describe, expect, it, onTestFinished } from 'vitest'
import { codeOf, listFiles, MIB, scratch, seededBytes, writeTree } from '../artifacts/scratch.ts'
import { smallDisk, smallDiskObstacle } from '../artifacts/small-disk.ts'
import { connectTo, settled, sum, testPeer } from './peers.ts'
import { verifiedBytes } from './store-state.ts'

/** Room of the receiver's disk, MiB: it ends in the midst of everything, and just before the end. */
const ROOMS = [0.05, 0.3, 1.5, 4, 7.8, 9.4, 10.9]
const ENOUGH = 40 * MIB

function content(): Record<string, Buffer> {
  const files: Record<string, Buffer> = { large: seededBytes(9 * MIB, 1) }
  for (let index = 0; index < 300; index++) {
    files[`small/${index}`] = seededBytes(1 + ((index * 7919) % 12_000), 2 + index)
  }
  return files
}

describe.skipIf(smallDiskObstacle() !== undefined)('a disk without room', () => {
  it.each([
    ['a thread', 'socket', '/ip4/127.0.0.1/tcp/0'],
    ['the thread of everything', 'stream', '/ip4/127.0.0.1/tcp/0/ws'],
  ])(
    'ends a fetch that %s writes with one error, and the next one completes it',
    async (_where, path, listen) => {
      const files = content()
      const sender = await testPeer({ allow: () => true, network: { listen: [listen] } })
      const { root, manifest, size } = await sender.store.addPath(
        await writeTree(join(await scratch(), 'tree'), files),
      )
      const contents = manifest.files.map((file) => files[file.path]!)
      for (const room of ROOMS) {
        const disk = smallDisk(ENOUGH)
        const receiver = await testPeer({ dir: join(disk.dir, 'store') })
        const from = await connectTo(receiver, sender)
        const sources: TransferSource[] = []
        const fetching = () =>
          receiver.store.fetch(root, from, { onSource: (source) => sources.push(source) })
        disk.resize(Math.round(room * MIB))
        const failure = await fetching().catch((error) => error)
        expect(failure, `${room} MiB`).toMatchObject({ code: 'DISK_FULL', blame: 'host' })
        expect(receiver.warnings).toEqual([])
        const kept = await verifiedBytes(receiver.dir, manifest, contents)
        expect(receiver.store.has(root)).toBe(false)
        expect(await readdir(join(receiver.dir, 'manifests'))).toEqual([])
        // Again without room: nothing gets worse.
        expect(await codeOf(fetching())).toBe('DISK_FULL')

        disk.resize(ENOUGH)
        const given = await settled(() => sum(sender.given))
        await fetching()
        expect(sources.some((source) => source.path === path)).toBe(true)
        expect(await verifiedBytes(receiver.dir, manifest, contents)).toBe(size)
        expect(sum(sender.given) - given).toBeLessThanOrEqual(size - kept)
        await receiver.store.close()
        await receiver.network.close()
      }
    },
  )

  it('ends a collection of outputs, which are all still there, and the next one takes them', async () => {
    const files = content()
    const out = await writeTree(join(await scratch(), 'out'), files)
    const expected = Object.keys(files).sort()
    for (const room of ROOMS) {
      const disk = smallDisk(ENOUGH)
      const store = await createArtifactStore({ dir: join(disk.dir, 'store') })
      onTestFinished(() => store.close())
      disk.resize(Math.round(room * MIB))
      expect(await codeOf(store.collect(out, ['**'])), `${room} MiB`).toBe('DISK_FULL')
      expect(await readdir(join(disk.dir, 'store/part'))).toEqual([])
      expect(await listFiles(out)).toEqual(expected)
      await store.close()
    }
    const store = await createArtifactStore({ dir: join(await scratch(), 'store') })
    onTestFinished(() => store.close())
    const { manifest } = await store.collect(out, ['**'])
    expect(manifest.files.map((file) => file.path)).toEqual(expected)
    expect(await listFiles(out)).toEqual([])
  })
})
