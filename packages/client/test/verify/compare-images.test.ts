import { deflateSync } from 'node:zlib'
import fc from 'fast-check'
import { decode, encode } from 'fast-png'
import { describe, expect, it } from 'vitest'
import { compareResults } from '../../src/verify/compare-results.ts'
import { openPng, unpackPng } from '../../src/verify/png.ts'
import { PngRows } from '../../src/verify/png-rows.ts'
import { resultWith } from './results.ts'
import { type PngToWrite, writePng } from './write-png.ts'

const SIZE = 20

/** A grey image, with some of its pixels changed. */
function image(change: (pixel: number) => number = () => 0, size = SIZE): Uint8Array {
  const rows = Array.from({ length: size }, (_, y) =>
    Uint8Array.from({ length: size * 3 }, (_, at) => 100 + change(y * size + Math.floor(at / 3))),
  )
  return writePng({ width: size, height: size, rows, filters: rows.map((_, y) => y % 5) })
}

async function compare(a: Uint8Array, b: Uint8Array, options: object = {}) {
  const results = [resultWith({ 'f.png': a }), resultWith({ 'f.png': b })] as const
  return compareResults({ kind: 'image', ...options }, ...results)
}

describe('images', () => {
  it('may differ a little everywhere, and much in few pixels', async () => {
    expect(await compare(image(), image())).toMatchObject({ equal: true, distance: 0 })
    // 4 of 255 are less than 0.016, 5 are more.
    expect(
      (
        await compare(
          image(),
          image(() => 4),
        )
      ).equal,
    ).toBe(true)
    expect(
      (
        await compare(
          image(),
          image(() => 5),
        )
      ).equal,
    ).toBe(false)
    const some = (count: number) => image((pixel) => (pixel < count ? 100 : 0))
    expect((await compare(image(), some(4))).equal).toBe(true)
    expect((await compare(image(), some(5))).equal).toBe(false)
    expect((await compare(image(), some(5), { pixels: 0.02 })).equal).toBe(true)
    expect(
      (
        await compare(
          image(),
          image(() => 5),
          { threshold: 0.02 },
        )
      ).equal,
    ).toBe(true)
  })

  it('say how far apart they are', async () => {
    const [near, far] = [
      await compare(
        image(),
        image(() => 1),
      ),
      await compare(
        image(),
        image(() => 3),
      ),
    ]
    expect(near.distance).toBeGreaterThan(0)
    expect(far.distance).toBeGreaterThan(near.distance)
  })

  it('are of one size', async () => {
    expect(
      (
        await compare(
          image(),
          image(() => 0, SIZE + 1),
        )
      ).equal,
    ).toBe(false)
  })

  it('may be stored in different ways', async () => {
    const data = new Uint8Array(SIZE * SIZE * 4).fill(100).map((v, at) => (at % 4 === 3 ? 255 : v))
    const other = encode({ width: SIZE, height: SIZE, data, channels: 4 })
    expect(await compare(image(), other)).toMatchObject({ equal: true, distance: 0 })
  })
})

describe('an image that is none equals nothing, not even itself', () => {
  const plain: PngToWrite = { width: 2, height: 1, rows: [new Uint8Array(6)] }
  const packed = (bytes: number) => deflateSync(new Uint8Array(bytes))
  it.each<[string, Uint8Array]>([
    ['text', Buffer.from('a picture')],
    ['nothing', new Uint8Array()],
    ['cut', writePng(plain).subarray(0, 40)],
    ['without pixels', writePng({ ...plain, width: 0 })],
    ['of an unknown kind', writePng({ ...plain, colour: 5 })],
    ['of an unknown depth', writePng({ ...plain, depth: 3 })],
    ['without its palette', writePng({ ...plain, colour: 3 })],
    ['interlaced', writePng({ ...plain, interlace: 1 })],
    ['with an unknown filter', writePng({ ...plain, content: deflateSync(Buffer.alloc(7, 9)) })],
    ['not packed', writePng({ ...plain, content: Buffer.from('no deflate at all') })],
    ['short of pixels', writePng({ ...plain, content: packed(6) })],
    ['a bomb', writePng({ ...plain, content: packed(50_000_000) })],
    ['a promise of too many pixels', writePng({ ...plain, width: 2 ** 15, height: 2 ** 15 })],
    ['one endless row', writePng({ ...plain, width: 2 ** 25, height: 1 })],
    ['larger than memory', writePng({ ...plain, width: 2 ** 31 - 1, height: 2 ** 31 - 1 })],
  ])('%s', async (_, file) => {
    expect((await compare(file, file)).equal).toBe(false)
  })

  it.each([
    [2 ** 15, 2 ** 15],
    [2 ** 25, 1],
    [2 ** 31 - 1, 2 ** 31 - 1],
    [0, 5],
  ])('and is not unpacked: %i × %i', (width, height) => {
    expect(() => openPng(writePng({ ...plain, width, height }))).toThrow('too many')
  })

  it('and is not unpacked when a pixel takes much', () => {
    const wide = { ...plain, colour: 6, depth: 16, width: 2 ** 15, height: 2 ** 10 }
    expect(() => openPng(writePng(wide))).toThrow('memory')
  })

  it('and is unpacked no further than its head says', async () => {
    const bomb = writePng({ ...plain, content: packed(100_000_000) })
    await expect(unpackPng(openPng(bomb))).rejects.toThrow('more than it says')
  })
})

describe('pixels', () => {
  const channels = (png: ReturnType<typeof decode>) => png.channels
  it('are those that another decoder reads, whatever filters and depths there are', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom([0, 8], [0, 16], [2, 8], [2, 16], [4, 8], [4, 16], [6, 8], [6, 16]),
        fc.integer({ min: 1, max: 9 }),
        fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 1, maxLength: 6 }),
        fc.infiniteStream(fc.integer({ min: 0, max: 255 })),
        async ([colour, depth], width, filters, bytes) => {
          const samples = { 0: 1, 2: 3, 4: 2, 6: 4 }[colour!]!
          const rowBytes = (width * samples * depth!) / 8
          const next = () => bytes.next().value as number
          const rows = filters.map(() => Uint8Array.from({ length: rowBytes }, next))
          const file = writePng({ width, height: rows.length, colour, depth, rows, filters })
          const theirs = decode(file)
          const png = openPng(file)
          const own = new PngRows(png, await unpackPng(png))
          const most = 2 ** depth! - 1
          for (let y = 0; y < rows.length; y += 1) {
            const row = own.next()
            for (let x = 0; x < width; x += 1) {
              const from = (y * width + x) * channels(theirs)
              const value = (channel: number) => theirs.data[from + channel]! / most
              const grey = channels(theirs) < 3
              const rgb = grey ? [0, 0, 0].map(value) : [0, 1, 2].map(value)
              const alpha = channels(theirs) % 2 === 0 ? value(channels(theirs) - 1) : 1
              expect([...row.subarray(x * 4, x * 4 + 4)]).toEqual(
                [...rgb, alpha].map((v) => Math.fround(v)),
              )
            }
          }
        },
      ),
      { numRuns: 200 },
    )
  })

  it('of few bits, of a palette and with one clear value', async () => {
    const row = async (png: PngToWrite) => {
      const open = openPng(writePng(png))
      return [...new PngRows(open, await unpackPng(open)).next()]
    }
    const four = { width: 4, height: 1, rows: [Uint8Array.of(0b00_01_10_11)] }
    const grey = await row({ ...four, colour: 0, depth: 2 })
    expect(grey.filter((_, at) => at % 4 === 0)).toEqual([0, 1 / 3, 2 / 3, 1].map(Math.fround))
    const palette = Uint8Array.of(255, 0, 0, 0, 255, 0, 0, 0, 255)
    const transparency = Uint8Array.of(0)
    expect(await row({ ...four, colour: 3, depth: 2, palette, transparency })).toEqual([
      ...[1, 0, 0, 0],
      ...[0, 1, 0, 1],
      ...[0, 0, 1, 1],
      ...[0, 0, 0, 1],
    ])
    const clear = { ...four, colour: 0, depth: 2, transparency: Uint8Array.of(0, 2) }
    expect((await row(clear)).filter((_, at) => at % 4 === 3)).toEqual([1, 1, 0, 1])
  })
})
