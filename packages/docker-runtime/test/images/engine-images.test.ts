import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ImageDocument, Runtime, RuntimeImages } from '@manyhands/core'
import { docker } from '@manyhands/docker-runtime'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { canStart, OwnDocker } from '../own-engines.ts'
import { busyboxLayer, filesOf, imageOf, layerOf } from './image-for-tests.ts'
import { configOf, digestOf } from './tar-for-tests.ts'

const NOBODY = (_id: string) => false
const HOST = '0123456789abcdef'

describe.skipIf(!canStart('dockerd', 'ip'))('images in a host’s engine', () => {
  let engine: OwnDocker
  let dir: string
  let runtime: Runtime
  let images: RuntimeImages

  async function open(hostInstance = HOST, stateDir = join(dir, hostInstance)): Promise<Runtime> {
    const opened = docker({ socketPath: engine.socketPath, reaper: false })
    await opened.open({ hostInstance, stateDir })
    return opened
  }

  beforeAll(async () => {
    engine = await OwnDocker.start()
  }, 60_000)

  afterAll(() => engine?.[Symbol.asyncDispose](), 60_000)

  afterEach(async () => {
    await runtime.close()
    for (const { Id } of await engine.docker.listImages({ all: true })) {
      await engine.docker
        .getImage(Id)
        .remove({ force: true })
        .catch(() => {})
    }
    await rm(dir, { recursive: true, force: true })
  })

  async function fresh(): Promise<void> {
    dir = await mkdtemp(join(tmpdir(), 'manyhands-engine-'))
    runtime = await open()
    images = runtime.images!
    for (const { Id } of await engine.docker.listImages({ all: true })) {
      await engine.docker.getImage(Id).remove({ force: true })
    }
  }

  /** Gives the engine what it lacks of an image, and tells which layers those were. */
  async function load(layers: Uint8Array[], into = images, more: object = {}) {
    const image = imageOf(layers, more)
    const lacking = await into.lacking(image)
    expect(await into.load(image, await filesOf(dir, layers, lacking))).toBe(true)
    return { image, lacking }
  }

  /** What images of ours take after what is too much went. */
  async function collect(keepBytes: number, inUse = NOBODY, of = images): Promise<number> {
    const { used, kept } = await of.collect({ keepBytes, inUse })
    return used.bytes + kept.bytes
  }

  const tags = async () =>
    (await engine.docker.listImages({ all: true })).flatMap(({ RepoTags }) => RepoTags ?? [])

  const has = async (image: ImageDocument) => (await images.find(image.id)) !== undefined

  it('lack what they lack, and get no more', async () => {
    await fresh()
    const [low, middle, high, other] = ['low', 'middle', 'high', 'other'].map((name) =>
      layerOf(name),
    ) as [Buffer, Buffer, Buffer, Buffer]
    const first = await load([low, middle, high])
    expect(first.lacking).toEqual([0, 1, 2])
    expect((await load([low, middle, other])).lacking).toEqual([2])
    // A layer is what it lies on, too: the same bytes elsewhere are another layer.
    expect((await load([middle, high])).lacking).toEqual([0, 1])
    expect((await load([low, middle, high])).lacking).toEqual([])
    const { RootFS, Id } = await engine.docker.getImage(first.image.id).inspect()
    expect([Id, RootFS.Layers]).toEqual([
      first.image.id,
      first.image.layers.map(({ diffId }) => diffId),
    ])
  })

  it('are found by their whole id alone, with the names that the owner gave them', async () => {
    await fresh()
    const { image } = await load([layerOf('named')])
    expect(await images.find(image.id)).toEqual({ names: [] })
    await engine.docker.getImage(image.id).tag({ repo: 'owner/named', tag: '1' })
    expect(await images.find(image.id)).toEqual({ names: ['owner/named:1'] })
    for (const id of [image.id.slice(0, 20), 'owner/named:1', digestOf('nothing')]) {
      expect(await images.find(id)).toBe(undefined)
    }
  })

  it('ask for all layers when one has gone in between', async () => {
    await fresh()
    const [low, high] = [layerOf('gone-low'), layerOf('gone-high')] as const
    const { image } = await load([low])
    const next = imageOf([low, high])
    expect(await images.lacking(next)).toEqual([1])
    await engine.docker.getImage(image.id).remove({ force: true })
    expect(await images.load(next, await filesOf(dir, [low, high], [1]))).toBe(false)
    expect(await images.find(next.id)).toBe(undefined)
    expect(await images.load(next, await filesOf(dir, [low, high], [0, 1]))).toBe(true)
  })

  it('load nothing of an image with a layer of other bytes', async () => {
    await fresh()
    const layers = [layerOf('sound'), layerOf('bent', 2_000_000)]
    const image = imageOf(layers)
    const files = await filesOf(dir, layers, [0, 1])
    const bent = Buffer.from(layers[1]!)
    bent[1_500_000] = 0
    await writeFile(files.get(1)!, bent)
    await expect(images.load(image, files)).rejects.toMatchObject({
      code: 'IMAGE_INVALID',
      message: expect.stringContaining(`layer ${image.layers[1]!.diffId} is ${digestOf(bent)}`),
    })
    expect(await engine.docker.listImages({ all: true })).toEqual([])
  })

  it('load nothing when it is canceled on the way', async () => {
    await fresh()
    const layers = [layerOf('large', 60_000_000)]
    const controller = new AbortController()
    const reason = new Error('not any more')
    const files = await filesOf(dir, layers, [0])
    // It takes what fits into a socket, and no more.
    engine.signal('SIGSTOP')
    try {
      const loading = images.load(imageOf(layers), files, controller)
      setImmediate(() => controller.abort(reason))
      await expect(loading).rejects.toBe(reason)
    } finally {
      engine.signal('SIGCONT')
    }
    expect(await engine.docker.listImages({ all: true })).toEqual([])
  })

  it('load nothing when the engine dies on the way, and all of it after that', async () => {
    await fresh()
    const layers = [layerOf('restarted', 60_000_000)]
    const image = imageOf(layers)
    const files = await filesOf(dir, layers, [0])
    engine.signal('SIGSTOP')
    const loading = images.load(image, files)
    const outcome = expect(loading).rejects.toMatchObject({ code: 'RUNTIME_UNAVAILABLE' })
    await engine.end('SIGKILL')
    await outcome
    await engine.start()
    expect(await images.find(image.id)).toBe(undefined)
    expect(await images.load(image, files)).toBe(true)
  })

  it('that the engine reads in another way than we do are not kept', async () => {
    await fresh()
    const layers = [layerOf('seen'), layerOf('hidden')]
    const diffIds = layers.map((layer) => digestOf(layer))
    // Engines do not mind how a key is written; of two they take the last one.
    const config = Buffer.from(
      configOf([diffIds[0]!]).toString().replace(/}$/, `,"RootFS":{"diff_ids":["${diffIds[1]}"]}}`),
    )
    const image: ImageDocument = { ...imageOf([layers[0]!]), id: digestOf(config), config }
    await load([layers[1]!])
    await expect(images.load(image, await filesOf(dir, layers, [0]))).rejects.toMatchObject({
      code: 'IMAGE_INVALID',
      message: expect.stringContaining('the engine sees other layers'),
    })
    expect(await images.find(image.id)).toBe(undefined)
  })

  it('of another platform are refused before anything travels', async () => {
    await fresh()
    const layers = [layerOf('strange')]
    for (const more of [{ architecture: 's390x' }, { os: 'windows' }]) {
      await expect(images.lacking(imageOf(layers, more))).rejects.toMatchObject({
        code: 'UNSUPPORTED',
      })
    }
    expect(await images.lacking(imageOf(layers, { architecture: '386' }))).toEqual([0])
  })

  it('go when they are too many, those that were not used for longest first', async () => {
    await fresh()
    const size = 100_000
    const three = []
    for (const name of ['first', 'second', 'third']) three.push(await load([layerOf(name, size)]))
    const [first, second, third] = three.map(({ image }) => image) as [
      ImageDocument,
      ImageDocument,
      ImageDocument,
    ]
    expect(await images.use(first.id)).toBe(true)
    const all = await collect(1024 ** 3)
    expect(all).toBeGreaterThan(3 * size)
    const left = await collect(2.5 * size)
    expect(left).toBeLessThan(2.5 * size)
    expect(await Promise.all([first, second, third].map(has))).toEqual([true, false, true])
    // The same after a restart; and what an attempt is about to use stays.
    await runtime.close()
    runtime = await open()
    images = runtime.images!
    const inUse = (id: string) => id === third.id
    await collect(0, inUse)
    expect(await Promise.all([first, third].map(has))).toEqual([false, true])
    expect(await collect(0)).toBe(0)
    expect(await engine.docker.listImages({ all: true })).toEqual([])
  })

  it('are told before they go, and none goes by that', async () => {
    await fresh()
    const { image } = await load([layerOf('told')])
    const { image: used } = await load([layerOf('used')])
    const inUse = (id: string) => id === used.id
    const [size] = image.layers.map(({ size }) => size)
    const report = {
      removed: { images: 1, bytes: size },
      used: { images: 1, bytes: size },
      kept: { images: 0, bytes: 0 },
    }
    expect(await images.collect({ keepBytes: 0, inUse, dryRun: true })).toEqual(report)
    expect(await Promise.all([image, used].map(has))).toEqual([true, true])
    expect(await images.collect({ keepBytes: 0, inUse })).toEqual(report)
    expect(await Promise.all([image, used].map(has))).toEqual([false, true])
  })

  it('count what they have in common once', async () => {
    await fresh()
    const base = layerOf('base', 500_000)
    await load([base, layerOf('one')])
    await load([base, layerOf('two')])
    const bytes = await collect(1024 ** 3)
    expect(bytes).toBeGreaterThan(500_000)
    expect(bytes).toBeLessThan(520_000)
  })

  it('are the owner’s as soon as he gives them a name, and all that we did not load is', async () => {
    await fresh()
    const { image } = await load([layerOf('ours')])
    const { image: named } = await load([layerOf('named')])
    await engine.docker.getImage(named.id).tag({ repo: 'owner/likes', tag: '1' })
    await engine.docker.getImage(image.id).tag({ repo: 'owner/tagged', tag: '1' })
    await engine.docker.getImage('owner/tagged:1').remove()
    // What he loads himself, also under no name at all.
    const other = await open('fedcba9876543210')
    const { image: theirs } = await load([layerOf('theirs')], other.images!)
    const nameless = await load([layerOf('nameless')])
    await engine.docker.getImage(nameless.image.id).tag({ repo: 'owner/t', tag: '1' })
    for (const tag of (await engine.docker.getImage(nameless.image.id).inspect()).RepoTags) {
      if (tag.startsWith('manyhands.local/')) await engine.docker.getImage(tag).remove()
    }
    await engine.docker.getImage('owner/t:1').tag({ repo: 'owner/u', tag: '1' })

    // What is his counts no more.
    expect(await collect(1024 ** 3)).toBe(image.layers[0]!.size)
    expect(await collect(0)).toBe(0)
    expect(await Promise.all([image, named, theirs, nameless.image].map(has))).toEqual([
      false,
      true,
      true,
      true,
    ])
    await other.close()
  })

  it('stay for the other host of an engine that two share', async () => {
    await fresh()
    const other = await open('fedcba9876543210')
    const { image } = await load([layerOf('shared')])
    expect(await other.images!.use(image.id)).toBe(true)
    expect(await collect(0)).toBe(0)
    expect(await has(image)).toBe(true)
    expect(await tags()).toEqual([expect.stringContaining('fedcba9876543210')])
    expect(await collect(0, NOBODY, other.images)).toBe(0)
    expect(await has(image)).toBe(false)
    await other.close()
  })

  it('stay while a container has them', async () => {
    await fresh()
    const { image } = await load([await busyboxLayer()])
    const container = await engine.docker.createContainer({
      Image: image.id,
      Cmd: ['/bin/sh', '-c', 'sleep 1000'],
    })
    expect(await collect(0)).toBeGreaterThan(0)
    expect(await has(image)).toBe(true)
    await container.remove({ force: true })
    expect(await collect(0)).toBe(0)
    expect(await has(image)).toBe(false)
  })

  it('are not removed between a use and its attempt', async () => {
    await fresh()
    const { image } = await load([layerOf('wanted')])
    const live = new Set<string>()
    const inUse = (id: string) => live.has(id)
    for (let round = 0; round < 5; round++) {
      live.add(image.id)
      const [, used] = await Promise.all([
        images.collect({ keepBytes: 0, inUse }),
        images.use(image.id),
      ])
      expect(used).toBe(true)
      expect(await has(image)).toBe(true)
      live.delete(image.id)
    }
  })

  it('that are gone are not there to be used', async () => {
    await fresh()
    const { image } = await load([layerOf('pruned')])
    await engine.docker.getImage(image.id).remove({ force: true })
    expect(await images.use(image.id)).toBe(false)
    expect(await collect(0)).toBe(0)
  })
})
