import * as dagCbor from '@ipld/dag-cbor'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { CborReader } from '../../src/wire/cbor-reader.ts'
import { CborWriter, NOT_PLAIN } from '../../src/wire/cbor-writer.ts'
import { decodeValue } from '../../src/wire/codec.ts'

const writer = new CborWriter()
const reader = new CborReader()

/** What either of them makes of it, the refusal included. */
function outcome(work: () => unknown): unknown {
  try {
    return { made: work() }
  } catch (error) {
    return error === NOT_PLAIN ? 'not plain' : 'refused'
  }
}

const text = fc.oneof(
  fc.string(),
  fc.string({ unit: 'grapheme' }),
  fc.string({ unit: 'binary', minLength: 20 }),
  fc.string({ minLength: 20, maxLength: 300 }),
)
const number = fc.oneof(
  fc.integer(),
  fc.maxSafeInteger(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.constantFrom(-0, 23, 24, 255, 256, 65535, 65536, 2 ** 32 - 1, 2 ** 32, -(2 ** 32) - 1),
)
const bytes = fc.uint8Array({ maxLength: 70_000, size: 'small' })
const { document } = fc.letrec<{ document: unknown }>((tie) => ({
  document: fc.oneof(
    { depthSize: 'small' },
    text,
    number,
    fc.boolean(),
    fc.constant(null),
    bytes,
    fc.array(tie('document'), { maxLength: 30 }),
    fc.dictionary(
      fc.oneof(fc.string(), fc.constantFrom('attempt', 'seq', 'phase', 'é')),
      tie('document'),
      { maxKeys: 30, noNullPrototype: false },
    ),
  ),
}))

test('what is written is what the full encoder writes', () => {
  fc.assert(
    fc.property(document, (value) => {
      const mine = outcome(() => writer.encode(value))
      if (mine === 'not plain') return
      expect(mine).toEqual({ made: new Uint8Array(dagCbor.encode(value)) })
    }),
    { numRuns: 1000 },
  )
})

test('what is read is what the full decoder reads', () => {
  fc.assert(
    fc.property(document, (value) => {
      const encoded = dagCbor.encode(value)
      const mine = outcome(() => reader.decode(encoded))
      if (mine === 'not plain') return
      expect(mine).toStrictEqual({ made: dagCbor.decode(encoded) })
    }),
    { numRuns: 1000 },
  )
})

test('the documents of every day are plain', () => {
  const event = {
    attempt: 'a.1',
    seq: 3,
    phase: 'running',
    end: { out: new Uint8Array(3), n: 0.5 },
  }
  const encoded = writer.encode(event)
  expect(reader.decode(encoded)).toStrictEqual(event)
})

test('bytes that are changed on their way are read as the full decoder reads them, or refused as it does', () => {
  fc.assert(
    fc.property(document, fc.nat(), fc.nat(255), (value, where, byte) => {
      const encoded = dagCbor.encode(value)
      encoded[where % encoded.length] = byte
      const full = outcome(() => dagCbor.decode(encoded))
      expect(outcome(() => decodeValue(encoded, 'test'))).toEqual(full)
    }),
    { numRuns: 3000 },
  )
})

test.each([
  ['keys out of their order', 'a2616201616102'],
  ['a key twice', 'a2616101616102'],
  ['a key that would be the prototype', 'a1695f5f70726f746f5f5f01'],
  ['a number that is longer than it needs to be', '1800'],
  ['a float of half the size', 'f93c00'],
  ['undefined', 'f7'],
  ['a tag', 'c001'],
  ['a length without end', '9f01ff'],
  ['an array of four billion items', '9affffffff'],
  ['more than one document', '0101'],
  ['nothing', ''],
])('%s is not plain', (_, hex) => {
  expect(() => reader.decode(Buffer.from(hex, 'hex'))).toThrow()
  expect(outcome(() => reader.decode(Buffer.from(hex, 'hex')))).toBe('not plain')
})

test('bytes that are read do not keep the frame in which they came', () => {
  const { blob } = reader.decode(writer.encode({ blob: new Uint8Array(4) })) as { blob: Uint8Array }
  expect(blob.buffer.byteLength).toBe(4)
})
