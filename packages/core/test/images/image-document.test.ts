import { createHash } from 'node:crypto'
import {
  decodeImage,
  encodeDocument,
  encodeImage,
  type ImageDocument,
  imageBytes,
  LIMITS,
  ManyhandsError,
  readImageConfig,
} from '@manyhands/core'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

const digest = (bytes: Uint8Array | string) =>
  `sha256:${createHash('sha256').update(bytes).digest('hex')}`
const json = (value: unknown) => new Uint8Array(Buffer.from(JSON.stringify(value)))
const layer = (name: string, size = 1024) => ({
  diffId: digest(name),
  size,
  root: digest(`root ${name}`),
})

function imageOf(layers: ImageDocument['layers'], more: object = {}): ImageDocument {
  const rootfs = { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) }
  const config = json({ architecture: 'amd64', os: 'linux', rootfs, ...more })
  return { v: 1, id: digest(config), reference: 'my:1', config, layers }
}

const IMAGE = imageOf([layer('low', 3000), layer('high', 5000)])

describe('an image document', () => {
  it('is read back as it was', () => {
    expect(decodeImage(encodeImage(IMAGE), IMAGE.id)).toEqual(IMAGE)
    const none = imageOf([])
    expect(decodeImage(encodeImage(none), none.id)).toEqual(none)
  })

  it('counts a layer once that is there twice', () => {
    expect(imageBytes(IMAGE)).toBe(8000)
    const twice = imageOf([layer('a', 10), layer('b', 5), layer('a', 10)])
    expect(decodeImage(encodeImage(twice), twice.id).layers).toHaveLength(3)
    expect(imageBytes(twice)).toBe(15)
  })

  const bent = (over: Partial<Record<keyof ImageDocument, unknown>>) => ({ ...IMAGE, ...over })
  const layers = (...changed: object[]) => bent({ layers: changed })
  const [low, high] = IMAGE.layers as [ImageDocument['layers'][0], ImageDocument['layers'][0]]
  const many = Array.from({ length: LIMITS.imageLayers + 1 }, (_, n) => layer(`${n}`))

  it.each<[string, unknown, string]>([
    ['another version', bent({ v: 2 }), 'document is none'],
    ['a field that nobody knows', { ...IMAGE, push: true }, 'document is none'],
    ['another id', bent({ id: digest('x') }), `its document is that of ${digest('x')}`],
    ['another configuration', bent({ config: json({}) }), 'its configuration is that of'],
    ['a layer too few', layers(low), '1 layers, its configuration names 2'],
    ['layers in another order', layers(high, low), 'layer 0 is'],
    ['another layer', layers(low, layer('other')), 'layer 1 is'],
    ['a size that is none', layers(low, { ...high, size: -1 }), 'document is none'],
    ['half a byte', layers(low, { ...high, size: 0.5 }), 'document is none'],
    ['a root that is none', layers(low, { ...high, root: '../../etc' }), 'document is none'],
    ['a digest that is none', layers(low, { ...high, diffId: 'sha256:' }), 'document is none'],
    ['too many layers', imageOf(many), 'document is none'],
    ['a long name', bent({ reference: 'n'.repeat(513) }), 'document is none'],
    ['a large configuration', imageOf([], { pad: 'x'.repeat(LIMITS.imageConfigBytes) }), 'is none'],
  ])('is refused with %s', (_, document, why) => {
    const { id } = document as ImageDocument
    const asked = why.includes('that of sha256') || why.startsWith('its document') ? IMAGE.id : id
    expect(() => decodeImage(encodeDocument(document), asked)).toThrow(why)
    expect(() => decodeImage(encodeDocument(document), asked)).toThrow(
      expect.objectContaining({ code: 'IMAGE_INVALID' }),
    )
  })

  it('is refused when a layer is listed twice in different ways', () => {
    const config = imageOf([layer('a'), layer('a')])
    for (const other of [{ size: 7 }, { root: digest('elsewhere') }]) {
      const document = { ...config, layers: [layer('a'), { ...layer('a'), ...other }] }
      expect(() => decodeImage(encodeDocument(document), config.id)).toThrow('twice')
    }
  })

  it('is refused when its sizes are beyond counting', () => {
    const large = imageOf([
      layer('a', Number.MAX_SAFE_INTEGER),
      layer('b', Number.MAX_SAFE_INTEGER),
    ])
    expect(() => decodeImage(encodeDocument(large), large.id)).toThrow('beyond counting')
  })

  it('fails in a typed way or is exactly what was asked for, whatever bytes come', () => {
    const sound = encodeImage(IMAGE)
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc
        .array(fc.tuple(fc.nat(sound.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 })
        .map((changes) => {
          const changed = new Uint8Array(sound)
          for (const [at, value] of changes) changed[at] = value
          return changed
        }),
    )
    fc.assert(
      fc.property(bytes, (encoded) => {
        try {
          const image = decodeImage(encoded, IMAGE.id)
          expect(digest(image.config)).toBe(IMAGE.id)
          expect(image.layers.map(({ diffId }) => diffId)).toEqual([low.diffId, high.diffId])
        } catch (error) {
          expect(error).toBeInstanceOf(ManyhandsError)
          expect(error).toMatchObject({ code: 'IMAGE_INVALID' })
        }
      }),
      { numRuns: 2000 },
    )
  })
})

describe('readImageConfig', () => {
  it('says for which platform it is, and which layers it has', () => {
    expect(readImageConfig(IMAGE.config, 'my:1')).toEqual({
      architecture: 'amd64',
      os: 'linux',
      diffIds: IMAGE.layers.map(({ diffId }) => diffId),
    })
  })

  it.each([
    ['nothing', new Uint8Array()],
    ['no text', new Uint8Array([0xff, 0xfe, 0x00])],
    ['no object', json([])],
    ['no layers', json({ os: 'linux' })],
    ['layers of another kind', json({ rootfs: { type: 'windows', diff_ids: [] } })],
    ['digests that are none', json({ rootfs: { type: 'layers', diff_ids: ['sha256:../x'] } })],
    ['a platform that is no text', json({ os: {}, rootfs: { type: 'layers', diff_ids: [] } })],
    ['very deep nesting', new Uint8Array(Buffer.from('['.repeat(500_000)))],
  ])('refuses %s', (_, config) => {
    expect(() => readImageConfig(config, 'my:1')).toThrow('image my:1: its configuration')
    expect(() => readImageConfig(config, 'my:1')).toThrow(
      expect.objectContaining({ code: 'IMAGE_INVALID' }),
    )
  })
})
