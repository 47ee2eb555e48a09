/**
 * Walks the instructions of a function, to find one without mistaking operands for it.
 * https://webassembly.github.io/spec/core/binary/instructions.html
 */
import type { BinaryReader } from './binary-reader.ts'

type Skip = (reader: BinaryReader) => void

const none: Skip = () => {}
const index: Skip = (reader) => {
  reader.unsigned()
}
const twoIndexes: Skip = (reader) => {
  reader.unsigned()
  reader.unsigned()
}
const byte: Skip = (reader) => reader.skip(1)
const bytes16: Skip = (reader) => reader.skip(16)
const signed: Skip = (reader) => reader.signed(5)

const valueType: Skip = (reader) => {
  const type = reader.byte()
  if (type === 0x63 || type === 0x64) reader.signed(5)
}

const blockType: Skip = (reader) => {
  if ([0x63, 0x64].includes(reader.peek())) reader.skip(1)
  reader.signed(5)
}

/** Alignment, the index of a memory when a bit in it says so, offset. */
const memoryArgument: Skip = (reader) => {
  if (reader.unsigned() & 0x40) reader.unsigned()
  reader.unsigned()
}

const list =
  (skip: Skip): Skip =>
  (reader) => {
    for (let left = reader.unsigned(); left > 0; left -= 1) skip(reader)
  }

const catchClause: Skip = (reader) => {
  if (reader.byte() < 2) reader.unsigned()
  reader.unsigned()
}

const byRange = (ranges: readonly (readonly [number, number, Skip])[]) => {
  const table = new Map<number, Skip>()
  for (const [first, last, skip] of ranges) {
    for (let opcode = first; opcode <= last; opcode += 1) table.set(opcode, skip)
  }
  return table
}

const PLAIN = byRange([
  [0x00, 0x01, none],
  [0x02, 0x04, blockType],
  [0x05, 0x05, none],
  [0x06, 0x06, blockType],
  [0x07, 0x09, index],
  [0x0a, 0x0b, none],
  [0x0c, 0x0d, index],
  [
    0x0e,
    0x0e,
    (reader) => {
      list(index)(reader)
      reader.unsigned()
    },
  ],
  [0x0f, 0x0f, none],
  [0x10, 0x10, index],
  [0x11, 0x11, twoIndexes],
  [0x12, 0x12, index],
  [0x13, 0x13, twoIndexes],
  [0x14, 0x15, index],
  [0x18, 0x18, index],
  [0x19, 0x1b, none],
  [0x1c, 0x1c, list(valueType)],
  [
    0x1f,
    0x1f,
    (reader) => {
      blockType(reader)
      list(catchClause)(reader)
    },
  ],
  [0x20, 0x26, index],
  [0x28, 0x3e, memoryArgument],
  [0x3f, 0x40, index],
  [0x41, 0x41, signed],
  [0x42, 0x42, (reader) => reader.signed(10)],
  [0x43, 0x43, (reader) => reader.skip(4)],
  [0x44, 0x44, (reader) => reader.skip(8)],
  [0x45, 0xc4, none],
  [0xd0, 0xd0, signed],
  [0xd1, 0xd1, none],
  [0xd2, 0xd2, index],
  [0xd4, 0xd4, none],
  [0xd5, 0xd6, index],
])

/** Opcodes behind a prefix byte. */
const PREFIXED = new Map([
  [
    0xfc,
    byRange([
      [0, 7, none],
      [8, 8, twoIndexes],
      [9, 9, index],
      [10, 10, twoIndexes],
      [11, 11, index],
      [12, 12, twoIndexes],
      [13, 13, index],
      [14, 14, twoIndexes],
      [15, 17, index],
    ]),
  ],
  [
    0xfd,
    byRange([
      [14, 0x113, none],
      [0, 11, memoryArgument],
      [12, 13, bytes16],
      [21, 34, byte],
      [
        84,
        91,
        (reader) => {
          memoryArgument(reader)
          reader.skip(1)
        },
      ],
      [92, 93, memoryArgument],
    ]),
  ],
  [
    0xfe,
    byRange([
      [0, 2, memoryArgument],
      [3, 3, byte],
      [16, 78, memoryArgument],
    ]),
  ],
])

/**
 * Where an unprefixed instruction occurs in a function's body (its locals and code).
 *
 * @throws IMAGE_INVALID at an instruction that is not known
 */
export function findInstruction(
  reader: BinaryReader,
  wanted: number,
): { start: number; end: number }[] {
  const places: { start: number; end: number }[] = []
  list((locals) => {
    locals.unsigned()
    valueType(locals)
  })(reader)
  while (!reader.done) {
    const start = reader.offset
    const opcode = reader.byte()
    const prefixed = PREFIXED.get(opcode)
    const skip = prefixed === undefined ? PLAIN.get(opcode) : prefixed.get(reader.unsigned())
    if (skip === undefined) throw reader.malformed(`an unknown instruction ${opcode}`)
    skip(reader)
    if (opcode === wanted) places.push({ start, end: reader.offset })
  }
  return places
}
