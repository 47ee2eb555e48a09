/**
 * A WebAssembly module as its sections, taken apart and put together again.
 * https://webassembly.github.io/spec/core/binary/modules.html
 */
import { ManyhandsError } from '@manyhands/core'
import { BinaryReader, encodeUnsigned } from './binary-reader.ts'

export const SECTION = {
  custom: 0,
  type: 1,
  import: 2,
  function: 3,
  table: 4,
  memory: 5,
  global: 6,
  export: 7,
  element: 9,
  code: 10,
  data: 11,
  tag: 13,
} as const

/** What an import or export is. */
export const KIND = { function: 0, table: 1, memory: 2, global: 3, tag: 4 } as const

/** Non-custom sections in the order in which they have to come. */
const ORDER = [1, 2, 3, 4, 5, 13, 6, 7, 8, 9, 12, 10, 11]

export interface Section {
  id: number
  content: Uint8Array
}

const HEADER_BYTES = 8

/** @throws IMAGE_INVALID for what is not a core module of version 1 */
export function readSections(bytes: Uint8Array, image: string): Section[] {
  checkHeader(bytes, image)
  const reader = new BinaryReader(bytes, HEADER_BYTES, bytes.length, image)
  const sections: Section[] = []
  while (!reader.done) {
    const id = reader.byte()
    const size = reader.unsigned()
    const start = reader.offset
    reader.skip(size)
    sections.push({ id, content: reader.slice(start) })
  }
  return sections
}

export function writeSections(sections: readonly Section[]): Uint8Array<ArrayBuffer> {
  const header = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0)
  return concat(
    header,
    ...sections.flatMap(({ id, content }) => [
      Uint8Array.of(id, ...encodeUnsigned(content.length)),
      content,
    ]),
  )
}

/** The one section of this kind. */
export const findSection = (sections: readonly Section[], id: number): Section | undefined =>
  sections.find((section) => section.id === id)

/** Reads a section's content from its start. */
export const readerOf = (section: Section, image: string): BinaryReader =>
  new BinaryReader(section.content, 0, section.content.length, image)

/** Replaces the section of this kind, or puts it where it belongs. */
export function putSection(sections: Section[], id: number, content: Uint8Array): void {
  const present = findSection(sections, id)
  if (present !== undefined) {
    present.content = content
    return
  }
  const rank = ORDER.indexOf(id)
  const next = sections.findIndex((section) => ORDER.indexOf(section.id) > rank)
  sections.splice(next === -1 ? sections.length : next, 0, { id, content })
}

/** Adds an entry to the end of a section that is a list; the index that it gets there. */
export function appendEntry(
  sections: Section[],
  id: number,
  entry: Uint8Array,
  image: string,
): number {
  const present = findSection(sections, id)
  if (present === undefined) {
    putSection(sections, id, concat(Uint8Array.of(1), entry))
    return 0
  }
  const reader = readerOf(present, image)
  const count = reader.unsigned()
  const rest = present.content.subarray(reader.offset)
  present.content = concat(Uint8Array.from(encodeUnsigned(count + 1)), rest, entry)
  return count
}

export function concat(...parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let offset = 0
  for (const part of parts) {
    out.set(part, offset)
    offset += part.length
  }
  return out
}

/** A name as imports and exports have it. */
export function encodeName(name: string): Uint8Array {
  const bytes = new TextEncoder().encode(name)
  return concat(Uint8Array.from(encodeUnsigned(bytes.length)), bytes)
}

function checkHeader(bytes: Uint8Array, image: string): void {
  const invalid = (message: string) => new ManyhandsError('IMAGE_INVALID', `${image} ${message}`)
  if (![0, 0x61, 0x73, 0x6d].every((byte, index) => bytes[index] === byte)) {
    throw invalid('is not a WebAssembly module: it does not begin with \\0asm')
  }
  if (bytes.length < HEADER_BYTES) throw invalid(`is cut off after ${bytes.length} bytes`)
  const version = bytes[4]! | (bytes[5]! << 8)
  const layer = bytes[6]! | (bytes[7]! << 8)
  if (layer === 1) {
    throw invalid(
      'is a WebAssembly component; build a core module for WASI preview 1 (wasm32-wasip1)',
    )
  }
  if (version !== 1 || layer !== 0) {
    throw invalid(`is of WebAssembly version ${version}, layer ${layer}; only version 1 is known`)
  }
}
