import { encodeDocument, LIMITS, type Manifest, ManyhandsError } from '@manyhands/core'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseManifest, writeManifest } from '../../src/artifacts/manifest-format.ts'
import { atOnce, inTurns } from '../../src/artifacts/turns.ts'

const anyManifest: fc.Arbitrary<Manifest> = fc.record({
  v: fc.constant(2 as const),
  kind: fc.constantFrom('file' as const, 'tree' as const),
  files: fc.array(
    fc.record(
      {
        path: fc.string({ unit: 'binary', maxLength: 40 }),
        size: fc.oneof(
          fc.maxSafeNat(),
          fc.constantFrom(0, 23, 24, 255, 256, 65535, 65536, 2 ** 32 - 1, 2 ** 32),
        ),
        executable: fc.boolean(),
        chunks: fc.uint8Array({ maxLength: 300 }),
        lengths: fc.uint8Array({ maxLength: 40 }),
      },
      { requiredKeys: ['path', 'size', 'executable', 'chunks'] },
    ),
  ),
  directories: fc.array(fc.string({ maxLength: 300 })),
})

/** The error with which bytes are refused. */
function refused(bytes: Uint8Array): ManyhandsError {
  try {
    atOnce(parseManifest(bytes))
  } catch (error) {
    expect(error).toBeInstanceOf(ManyhandsError)
    return error as ManyhandsError
  }
  throw new Error('accepted')
}

describe('the format of a manifest', () => {
  it('is that of every document, and read back as it was', () => {
    fc.assert(
      fc.property(anyManifest, (manifest) => {
        const bytes = atOnce(writeManifest(manifest))
        expect(Buffer.compare(bytes, encodeDocument(manifest))).toBe(0)
        expect(atOnce(parseManifest(bytes))).toEqual(manifest)
      }),
    )
  })

  it('is refused with a typed error wherever a byte is another one, missing or too many', () => {
    fc.assert(
      fc.property(anyManifest, fc.nat(), fc.integer({ min: 1, max: 255 }), (manifest, at, flip) => {
        const bytes = atOnce(writeManifest(manifest))
        const place = at % bytes.length
        expect(refused(bytes.subarray(0, place)).code).toBe('PROTOCOL')
        expect(refused(Buffer.concat([bytes, Uint8Array.of(flip)])).code).toBe('PROTOCOL')
        bytes[place]! ^= flip
        // It may still be one, of another content; never anything but that or a typed error.
        try {
          const other = atOnce(parseManifest(bytes))
          // A text that is no UTF-8 is read with marks in it, and refused for them as a path.
          if (other.files.every(({ path }) => !path.includes('\uFFFD'))) {
            if (other.directories.every((path) => !path.includes('\uFFFD'))) {
              expect(Buffer.compare(atOnce(writeManifest(other)), bytes)).toBe(0)
            }
          }
        } catch (error) {
          expect(['PROTOCOL', 'LIMIT']).toContain((error as ManyhandsError).code)
        }
      }),
      { numRuns: 500 },
    )
  })

  it.each<[string, number[]]>([
    ['a number in more bytes than it needs', [0x18, 0x02]],
    ['an indefinite map', [0xbf]],
    ['a tag', [0xd8, 0x2a]],
    ['a float', [0xfb, 0, 0, 0, 0, 0, 0, 0, 0]],
  ])('knows no %s', (_what, bytes) => {
    const start = bytes[0] === 0xbf ? [] : [0xa4, 0x61, 0x76]
    expect(refused(Uint8Array.from([...start, ...bytes])).code).toBe('PROTOCOL')
  })
})

/** What comes before the entries of `files` of a manifest, when there are so many. */
function head(count: number): Buffer {
  const start = encodeDocument({ v: 2, kind: 'tree', files: [], directories: [] })
  const at = Buffer.from(start).indexOf('files') + 'files'.length
  const number = Buffer.alloc(5)
  number[0] = 0x9a
  number.writeUInt32BE(count, 1)
  return Buffer.concat([start.subarray(0, at), number])
}

describe('a manifest that is a bomb', () => {
  const COUNT = 30_000_000

  it.each<[string, number]>([
    ['numbers', 0x00],
    ['empty maps', 0xa0],
    ['empty lists', 0x80],
    ['lists in lists', 0x81],
    ['maps in maps', 0xa1],
    ['texts', 0x60],
  ])('of %s is refused at the first, and costs no memory', (_what, byte) => {
    const bytes = Buffer.concat([head(LIMITS.entriesPerArtifact), Buffer.alloc(COUNT, byte)])
    const before = process.memoryUsage().heapUsed
    expect(refused(bytes).code).toBe('PROTOCOL')
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(10 * 1024 * 1024)
  })

  it('of more entries than there may be is refused before the first', () => {
    expect(refused(head(LIMITS.entriesPerArtifact + 1)).code).toBe('LIMIT')
    expect(refused(head(0xffffffff)).code).toBe('LIMIT')
  })

  it('of lengths that are beyond its end is refused', () => {
    for (const kind of [0x5b, 0x7b, 0x9b, 0xbb]) {
      const long = Buffer.concat([head(1), Uint8Array.of(kind), Buffer.alloc(8, 0x10)])
      expect(refused(long).code).toBe('PROTOCOL')
    }
  })
})

describe('long work', () => {
  function* turns(count: number) {
    for (let index = 0; index < count; index++) {
      const end = performance.now() + 1
      while (performance.now() < end);
      yield
    }
    return count
  }

  it('lets others have their turn', async () => {
    let others = 0
    const other = () => {
      others += 1
      waiting = setImmediate(other)
    }
    let waiting = setImmediate(other)
    expect(await inTurns(turns(100))).toBe(100)
    clearImmediate(waiting)
    expect(others).toBeGreaterThanOrEqual(5)
  })

  it('ends when nobody waits for it', async () => {
    const controller = new AbortController()
    setImmediate(() => controller.abort(new Error('enough')))
    await expect(inTurns(turns(10_000), controller.signal)).rejects.toThrow('enough')
  })
})
