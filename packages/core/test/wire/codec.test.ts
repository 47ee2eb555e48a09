import { decodeDocument, encodeDocument } from '@manyhands/core'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { withoutUndefined } from '../../src/wire/codec.ts'

test('undefined fields vanish at any depth, and what was given is not changed', () => {
  const given = { a: undefined, b: [{ c: undefined, d: 1 }], e: { f: { g: undefined } } }
  const copy = structuredClone(given)
  expect(encodeDocument(given)).toEqual(encodeDocument({ b: [{ d: 1 }], e: { f: {} } }))
  expect(given).toStrictEqual(copy)
})

test('what holds nothing undefined is not copied', () => {
  const whole = { a: [1, { b: new Uint8Array(1) }], c: null }
  expect(withoutUndefined(whole)).toBe(whole)
})

test('documents are read back as they were, whatever the order of their fields', () => {
  const document = fc.jsonValue({ noUnicodeString: false }).filter((value) => value !== undefined)
  fc.assert(
    fc.property(fc.dictionary(fc.string(), document), (fields) => {
      const bytes = encodeDocument(fields)
      const reversed = Object.fromEntries(Object.entries(fields).reverse())
      expect(encodeDocument(reversed)).toEqual(bytes)
      const decoded = decodeDocument(z.unknown(), bytes, 'test')
      expect(encodeDocument(decoded)).toEqual(bytes)
    }),
  )
})

test('sizes of 2 to 4 GiB and above survive', () => {
  const sizes = [2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 40, Number.MAX_SAFE_INTEGER]
  expect(decodeDocument(z.array(z.number()), encodeDocument(sizes), 'sizes')).toEqual(sizes)
})

test.each([Number.NaN, Number.POSITIVE_INFINITY, () => {}, Symbol('x')])(
  'what has no form in DAG-CBOR is refused: %s',
  (value) => {
    expect(() => encodeDocument({ value })).toThrow(expect.objectContaining({ code: 'PROTOCOL' }))
  },
)

test.each([
  ['garbage', Uint8Array.of(0xff)],
  ['cut short', encodeDocument({ a: 'text' }).subarray(0, 4)],
  ['another shape', encodeDocument({ a: 1 })],
  ['a bomb of nested arrays', new Uint8Array(1_000_000).fill(0x81)],
])('%s is PROTOCOL and names what was read', (_, bytes) => {
  const schema = z.object({ a: z.string() })
  expect(() => decodeDocument(schema, bytes, 'the thing')).toThrow(
    expect.objectContaining({ code: 'PROTOCOL', message: expect.stringContaining('the thing') }),
  )
})
