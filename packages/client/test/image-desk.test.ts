import { createHash } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type ArtifactStore,
  createArtifactStore,
  decodeImage,
  type ImageSource,
  type SourceImage,
} from '@manyhands/core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { answerImage } from '../src/images/image-answer.ts'
import { ImageDesk } from '../src/images/image-desk.ts'
import { LayerShelf } from '../src/images/layer-shelf.ts'

const digest = (bytes: Uint8Array | string) =>
  `sha256:${createHash('sha256').update(bytes).digest('hex')}`

/** An engine of images that consist of texts. */
class ScriptedSource implements ImageSource {
  readonly runtime = 'docker'
  readonly images = new Map<string, string[]>()
  /** Layers that were asked for, one list for each export. */
  readonly exports: string[][] = []
  knowsIds = true
  fails: Error | undefined
  /** What an export waits for. */
  gate: Promise<unknown> = Promise.resolve()

  async resolve(reference: string): Promise<SourceImage | undefined> {
    const layers = this.images.get(reference)
    if (layers === undefined) return undefined
    const diffIds = layers.map((layer) => digest(layer))
    const rootfs = { type: 'layers', diff_ids: diffIds }
    const config = Buffer.from(JSON.stringify({ rootfs }))
    return {
      key: digest(`key ${layers}`),
      id: this.knowsIds ? digest(config) : undefined,
      diffIds,
      bytes: layers.join('').length,
      export: async (wanted, dir, { signal, onProgress } = {}) => {
        this.exports.push(layers.filter((layer) => wanted.has(digest(layer))))
        await this.gate
        signal?.throwIfAborted()
        if (this.fails !== undefined) throw this.fails
        const taken = new Map<string, { path: string; size: number }>()
        for (const layer of layers.filter((each) => wanted.has(digest(each)))) {
          const path = join(dir, `tmp-${layer}`)
          await writeFile(path, layer)
          taken.set(digest(layer), { path, size: layer.length })
          onProgress?.(layer.length)
        }
        return { config, layers: taken }
      },
    }
  }
}

describe('ImageDesk', () => {
  let dir: string
  let store: ArtifactStore
  let source: ScriptedSource
  let desk: ImageDesk

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'manyhands-desk-'))
    store = await createArtifactStore({ dir: join(dir, 'store') })
    const logger = { debug: () => {}, warn: () => {} }
    const shelf = new LayerShelf(join(dir, 'images'), { maxBytes: 1024 ** 2, logger })
    await shelf.open()
    source = new ScriptedSource()
    source.images.set('my:1', ['base', 'top'])
    desk = new ImageDesk({ sources: async () => [source], shelf, store })
  })

  afterEach(async () => {
    await store.close()
    await rm(dir, { recursive: true, force: true })
  })

  const resolve = (name: string, runtime = 'docker') => desk.resolve(name, runtime, undefined)

  it('exports nothing before somebody asks, and then once', async () => {
    const image = (await resolve('my:1'))!
    expect(image).toMatchObject({ name: 'my:1', bytes: 7 })
    expect(source.exports).toEqual([])
    const [[root, ...layers], again] = await Promise.all([image.roots(), image.roots()])
    expect(again).toEqual([root, ...layers])
    expect(source.exports).toEqual([['base', 'top']])
    expect(image.exportedBytes).toBe(7)
    const document = decodeImage(await store.read(root!, ''), image.id)
    expect(document).toMatchObject({ reference: 'my:1', layers: [{ size: 4 }, { size: 3 }] })
    expect(document.layers.map((layer) => layer.root)).toEqual(layers)
    expect(Buffer.from(await store.read(layers[1]!, '')).toString()).toBe('top')
  })

  it('exports of the next image only what the first one did not have', async () => {
    source.images.set('other:1', ['base', 'else'])
    await (await resolve('my:1'))!.roots()
    await (await resolve('other:1'))!.roots()
    await (await resolve('my:1'))!.roots()
    expect(source.exports).toEqual([['base', 'top'], ['else']])
  })

  it('knows what only an export tells, and remembers it', async () => {
    const { id } = (await resolve('my:1'))!
    source.knowsIds = false
    expect((await resolve('my:1'))!.id).toBe(id)
    expect((await resolve('my:1'))!.id).toBe(id)
    expect(source.exports).toHaveLength(1)
  })

  it('leaves names that it does not know, and other runtimes, to the hosts', async () => {
    expect(await resolve('unknown:1')).toBe(undefined)
    expect(await resolve('my:1', 'microvm')).toBe(undefined)
  })

  it('tells a failure to whoever asks, and begins anew with the next job', async () => {
    source.fails = new Error('the disk is gone')
    const image = (await resolve('my:1'))!
    const failure = {
      code: 'INPUT_UNREADABLE',
      message: 'image my:1 cannot be exported: the disk is gone',
    }
    await expect(image.roots()).rejects.toMatchObject(failure)
    await expect(image.roots()).rejects.toMatchObject(failure)
    expect(source.exports).toHaveLength(1)
    source.fails = undefined
    await expect((await resolve('my:1'))!.roots()).resolves.toHaveLength(3)
  })

  it('ends with its job, and takes no other job’s export with it', async () => {
    const gate = Promise.withResolvers<void>()
    source.gate = gate.promise
    const [one, two] = [(await resolve('my:1'))!, (await resolve('my:1'))!]
    const outcomes = Promise.allSettled([one.roots(), two.roots()])
    one.release()
    gate.resolve()
    expect(await outcomes).toMatchObject([
      { status: 'rejected', reason: { code: 'CANCELED' } },
      { status: 'fulfilled' },
    ])
    const late = (await resolve('my:1'))!
    late.release()
    await expect(late.roots()).rejects.toMatchObject({ code: 'CANCELED' })
  })

  it('answers a host with what may be fetched, and without paths of this computer', async () => {
    const ready: string[][] = []
    const image = (await resolve('my:1'))!
    const { root, exportedBytes } = await answerImage(image, (roots) => ready.push(roots))
    expect(ready).toEqual([[root, ...(await image.roots()).slice(1)]])
    expect(exportedBytes).toBe(7)

    source.images.set('broken:1', ['broken'])
    source.fails = new Error(`open /home/ada/.state/x.tar: no space at "C:\\Users\\ada\\y", a/b`)
    await expect(answerImage((await resolve('broken:1'))!, () => {})).rejects.toMatchObject({
      message: 'image broken:1 cannot be exported: open …: no space at "…", a/b',
    })
  })
})
