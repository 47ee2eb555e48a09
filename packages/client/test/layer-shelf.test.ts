import { createHash } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { LayerShelf, tidyIdleShelf } from '../src/images/layer-shelf.ts'

const digest = (bytes: Uint8Array | string) =>
  `sha256:${createHash('sha256').update(bytes).digest('hex')}`
const KIB = 1024

describe('LayerShelf', () => {
  let dir: string
  let shelf: LayerShelf

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'manyhands-shelf-'))
    shelf = await open()
  })

  afterEach(() => rm(dir, { recursive: true, force: true }))

  async function open(maxBytes = 100 * KIB): Promise<LayerShelf> {
    const opened = new LayerShelf(dir, { maxBytes, logger: { debug: () => {}, warn: () => {} } })
    await opened.open()
    return opened
  }

  /** What an export of an image with such layers, of 40 KiB each, brings. */
  async function exported(names: string[], into = shelf) {
    const diffIds = names.map((name) => digest(name))
    const rootfs = { type: 'layers', diff_ids: diffIds }
    const config = Buffer.from(JSON.stringify({ rootfs }))
    const layers = new Map<string, { path: string; size: number }>()
    for (const [index, name] of names.entries()) {
      if (into.has(diffIds[index]!)) continue
      const path = join(dir, `tmp-${name}`)
      await writeFile(path, Buffer.alloc(40 * KIB, name))
      layers.set(diffIds[index]!, { path, size: 40 * KIB })
    }
    const image = await into.take(`sha256:key-${names.join()}`, { config, layers })
    return { ...image, diffIds }
  }

  const files = async () => (await readdir(dir)).filter((name) => name.endsWith('.tar')).length

  it('has what was exported, also in the next process', async () => {
    const { key, id, diffIds, config } = await exported(['a', 'b'])
    for (const each of [shelf, await open()]) {
      expect(diffIds.map((diffId) => each.has(diffId))).toEqual([true, true])
      expect(await each.image(key)).toEqual({ key, id, config })
      expect(each.sizeOf(diffIds[0]!)).toBe(40 * KIB)
      expect(await readFile(each.pathOf(diffIds[1]!))).toEqual(Buffer.alloc(40 * KIB, 'b'))
    }
    expect(await shelf.image('sha256:another')).toBe(undefined)
  })

  it('lets go of what was used least recently, and of nothing that a job needs', async () => {
    const first = await exported(['a'])
    const second = await exported(['b'])
    await shelf.used(first.key, first.id, first.diffIds)
    await exported(['c'])
    expect(['a', 'b', 'c'].map((name) => shelf.has(digest(name)))).toEqual([true, false, true])
    expect(await files()).toBe(2)
    const release = shelf.hold([...first.diffIds, ...second.diffIds])
    await exported(['d'])
    await exported(['e'])
    expect(shelf.has(first.diffIds[0]!)).toBe(true)
    expect(await files()).toBe(2)
    release()
    release()
    await exported(['f'])
    await exported(['g'])
    expect(shelf.has(first.diffIds[0]!)).toBe(false)
  })

  it('says what would go before it goes, and tidies up one that is closed', async () => {
    const release = shelf.hold([digest('a')])
    await exported(['a'])
    await exported(['b'])
    const options = { keepBytes: 0, dryRun: true }
    const amount = { artifacts: 1, files: 1, bytes: 40 * KIB }
    const report = {
      room: 'images',
      removed: amount,
      kept: [{ reason: 'layers that running jobs need', ...amount }],
    }
    expect(await shelf.collectGarbage(options)).toEqual(report)
    expect(await files()).toBe(2)
    expect(await shelf.collectGarbage({ keepBytes: 0 })).toEqual(report)
    expect(await files()).toBe(1)
    release()
    expect(await tidyIdleShelf(dir, options)).toEqual({ room: 'images', removed: amount, kept: [] })
    expect(await files()).toBe(1)
    expect(await tidyIdleShelf(dir, {})).toMatchObject({
      kept: [{ reason: 'layers for later jobs' }],
    })
    await tidyIdleShelf(dir, { keepBytes: 0 })
    expect(await files()).toBe(0)
    expect(await tidyIdleShelf(join(dir, 'missing'), { dryRun: true })).toMatchObject({ kept: [] })
  })

  it('may be too small for what jobs need, until they are over', async () => {
    const diffIds = ['a', 'b', 'c'].map((name) => digest(name))
    const release = shelf.hold(diffIds)
    await exported(['a', 'b', 'c'])
    expect(await files()).toBe(3)
    release()
    await exported(['a'])
    expect(await files()).toBeLessThan(3)
  })

  it('believes no file that is not as it was written', async () => {
    const { key, diffIds } = await exported(['a', 'b'])
    await writeFile(shelf.pathOf(diffIds[0]!), 'short')
    await rm(shelf.pathOf(diffIds[1]!))
    const name = (await readdir(dir)).find((file) => /^[0-9a-f]{64}\.json$/.test(file))!
    await writeFile(join(dir, name), '{"rootfs":{}}')
    const again = await open()
    expect(diffIds.map((diffId) => again.has(diffId))).toEqual([false, false])
    expect(await again.image(key)).toBe(undefined)
    await exported(['a', 'b'], again)
    expect((await again.image(key))?.key).toBe(key)
  })

  it.each(['', 'no json', '{"v":2}', '{"v":1,"images":[],"layers":[{"diffId":"sha256:../../x"}]}'])(
    'begins anew with an index that is none: %j',
    async (index) => {
      await exported(['a'])
      await writeFile(join(dir, 'images.json'), index)
      await writeFile(join(dir, 'tmp-half'), 'half')
      const again = await open()
      expect(again.has(digest('a'))).toBe(false)
      expect(await readdir(dir)).toEqual(['images.json'])
    },
  )
})
