import { createHash } from 'node:crypto'
import {
  encodeDocument,
  encodeImage,
  type ImageDocument,
  ManyhandsError,
  type Network,
  type Runtime,
  type RuntimeImages,
} from '@manyhands/core'
import { beforeEach, describe, expect, it } from 'vitest'
import { ImageStage } from '../src/image-stage.ts'
import type { InputStage } from '../src/input-stage.ts'

const digest = (bytes: Uint8Array | string) =>
  `sha256:${createHash('sha256').update(bytes).digest('hex')}`

function imageOf(...names: string[]): ImageDocument {
  const layers = names.map((name) => ({
    diffId: digest(name),
    size: name.length,
    root: digest(`root ${name}`),
  }))
  const rootfs = { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) }
  const config = new Uint8Array(Buffer.from(JSON.stringify({ rootfs })))
  return { v: 1, id: digest(config), reference: 'my:1', config, layers }
}

const IMAGE = imageOf('low', 'high')
const DOCUMENT = digest('document')

/** An engine, a client and a store that do what they are told. */
class Scene {
  readonly present = new Set<string>()
  /** What the engine says that it lacks. */
  lacking = [1]
  /** How many layers a load has to have; fewer are refused. */
  needs = 1
  readonly loads: number[][] = []
  readonly fetched: { roots: string[]; maxBytes: number; peer: string }[] = []
  readonly asked: string[] = []
  document: Uint8Array = encodeImage(IMAGE)
  /** What the client answers, one after the other; the last one is repeated. */
  answers: (string | undefined | Error)[] = [DOCUMENT]
  room: Error | undefined
  gate: Promise<unknown> = Promise.resolve()
  released = 0

  readonly images: RuntimeImages = {
    find: async () => undefined,
    use: async (id) => this.present.has(id),
    lacking: async () => this.lacking,
    load: async ({ id }, files, { signal } = {}) => {
      this.loads.push([...files.keys()])
      await this.gate
      signal?.throwIfAborted()
      if (files.size < this.needs) return false
      this.present.add(id)
      return true
    },
    collect: async () => {
      const none = { images: 0, bytes: 0 }
      return { removed: none, used: none, kept: none }
    },
  }

  readonly stage = new ImageStage({
    network: {
      call: async (_peer: string, _method: string, { id }: { id: string }) => {
        this.asked.push(id)
        await this.gate
        const answer = this.answers.length > 1 ? this.answers.shift() : this.answers[0]
        if (answer instanceof Error) throw answer
        return { root: answer, exportedBytes: 0 }
      },
    } as unknown as Network,
    store: {
      read: async () => {
        if (this.document.length > 0) return this.document
        throw new ManyhandsError('NOT_FOUND', 'it is a directory')
      },
    } as never,
    inputs: {
      acquire: (
        inputs: { root: string }[],
        { maxBytes, peer }: { maxBytes: number; peer: string },
      ) => {
        this.fetched.push({ roots: inputs.map(({ root }) => root), maxBytes, peer })
        return {
          ready: Promise.resolve('/staged'),
          progress: () => ({ phase: 'image', bytes: 7, rate: 0 }),
          release: async () => {
            this.released += 1
          },
        }
      },
    } as unknown as InputStage,
    makeRoom: async () => {
      if (this.room !== undefined) throw this.room
    },
  })

  acquire(attempt: string, signal = new AbortController().signal, peer = 'client') {
    return this.stage.acquire(
      { attempt, runtime: { name: 'docker' } as Runtime, images: this.images, id: IMAGE.id },
      { peer, maxBytes: 1, signal, onReceived: () => {} },
    )
  }
}

describe('ImageStage', () => {
  let scene: Scene

  beforeEach(() => {
    scene = new Scene()
  })

  it('asks nobody for what the engine has', async () => {
    scene.present.add(IMAGE.id)
    expect(await scene.acquire('one').ready).toBe(IMAGE.id)
    expect([scene.asked, scene.fetched, scene.loads]).toEqual([[], [], []])
  })

  it('fetches the document, then the layers that the engine lacks, and loads those', async () => {
    await scene.acquire('one').ready
    expect(scene.fetched.map(({ roots }) => roots)).toEqual([[DOCUMENT], [IMAGE.layers[1]!.root]])
    // No more than the document says may come, whatever a layer's artifact is.
    expect(scene.fetched[1]!.maxBytes).toBe('low'.length + 'high'.length)
    expect(scene.loads).toEqual([[1]])
    expect(scene.released).toBe(2)
  })

  it('gives all layers to an engine that takes no part of an image', async () => {
    scene.needs = 2
    await scene.acquire('one').ready
    expect(scene.loads).toEqual([[1], [0, 1]])
    scene = new Scene()
    scene.needs = 3
    await expect(scene.acquire('one').ready).rejects.toMatchObject({ code: 'RUNTIME_FAILED' })
  })

  it('asks again while the client exports', async () => {
    scene.answers = [undefined, undefined, DOCUMENT]
    await scene.acquire('one').ready
    expect(scene.asked).toEqual(['one', 'one', 'one'])
  })

  it('shares a load, and asks in the name of an attempt that is still there', async () => {
    const gate = Promise.withResolvers<void>()
    scene.gate = gate.promise
    scene.answers = [new ManyhandsError('NOT_FOUND', 'no such attempt'), DOCUMENT]
    const leaving = new AbortController()
    const first = scene.acquire('one', leaving.signal)
    const second = scene.acquire('two')
    const outcomes = Promise.allSettled([first.ready, second.ready])
    await expect.poll(() => scene.asked).toEqual(['one'])
    leaving.abort(new ManyhandsError('CANCELED', 'killed'))
    await expect(first.ready).rejects.toMatchObject({ code: 'CANCELED' })
    gate.resolve()
    expect(await outcomes).toMatchObject([{ status: 'rejected' }, { status: 'fulfilled' }])
    expect(scene.asked).toEqual(['one', 'two'])
    expect(scene.loads).toEqual([[1]])
  })

  it('ends a load when the last one leaves', async () => {
    const gate = Promise.withResolvers<void>()
    scene.gate = gate.promise
    const controllers = [new AbortController(), new AbortController()]
    const parts = controllers.map(({ signal }, index) => scene.acquire(`${index}`, signal))
    const outcomes = Promise.allSettled(parts.map(({ ready }) => ready))
    await expect.poll(() => scene.asked).toHaveLength(1)
    for (const controller of controllers) controller.abort(new ManyhandsError('CANCELED', 'enough'))
    gate.resolve()
    expect(await outcomes).toMatchObject([{ status: 'rejected' }, { status: 'rejected' }])
    expect(scene.loads).toEqual([])
    expect(scene.present.size).toBe(0)
    // The next one begins anew.
    await scene.acquire('later').ready
    expect(scene.present.size).toBe(1)
  })

  it('tries its own client when another one’s image failed', async () => {
    const gate = Promise.withResolvers<void>()
    scene.gate = gate.promise
    scene.answers = [new ManyhandsError('INPUT_UNREADABLE', 'gone'), DOCUMENT]
    const theirs = scene.acquire('one', undefined, 'another')
    const ours = scene.acquire('two', undefined, 'ours')
    const outcomes = Promise.allSettled([theirs.ready, ours.ready])
    gate.resolve()
    expect(await outcomes).toMatchObject([
      { status: 'rejected', reason: { code: 'INPUT_UNREADABLE' } },
      { status: 'fulfilled' },
    ])
    expect(scene.fetched.map(({ peer }) => peer)).toEqual(['ours', 'ours'])
  })

  it.each<[string, Uint8Array, string]>([
    ['of another image', encodeImage(imageOf('other')), 'its document is that of'],
    [
      'with another configuration',
      encodeDocument({ ...IMAGE, config: new Uint8Array(9) }),
      'its configuration is that of',
    ],
    [
      'with a layer exchanged',
      encodeDocument({ ...IMAGE, layers: imageOf('low', 'evil').layers }),
      'layer 1 is',
    ],
    ['that is a directory', new Uint8Array(), 'its document is no file'],
    ['that is none', new Uint8Array([1, 2, 3]), 'its document is none'],
  ])('refuses a document %s before a layer is asked for', async (_, document, why) => {
    scene.document = document
    await expect(scene.acquire('one').ready).rejects.toMatchObject({
      code: 'IMAGE_INVALID',
      message: expect.stringContaining(why),
    })
    expect(scene.fetched).toHaveLength(1)
    expect(scene.loads).toEqual([])
  })

  it('fetches no layer of an image for which there is no room', async () => {
    scene.room = new ManyhandsError('HOST_BUSY', 'imageCache: in use')
    await expect(scene.acquire('one').ready).rejects.toMatchObject({ code: 'HOST_BUSY' })
    expect(scene.fetched).toHaveLength(1)
  })

  it('gives up on an image that is gone as soon as it is loaded', async () => {
    scene.images.use = async () => false
    await expect(scene.acquire('one').ready).rejects.toMatchObject({
      code: 'RUNTIME_FAILED',
      message: expect.stringContaining('is removed as soon as it is loaded'),
    })
    expect(scene.loads).toHaveLength(4)
  })
})
