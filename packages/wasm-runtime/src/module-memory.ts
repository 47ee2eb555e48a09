/**
 * Where a module's memory comes from is changed before it is compiled: a memory that the module
 * defines or imports becomes an import of ours without a declared maximum. The worker then supplies
 * a memory whose maximum is the task's cap, so `memory.grow` fails there, and one compiled module
 * serves tasks with different caps. V8's `resourceLimits` do not bound wasm memory.
 *
 * https://webassembly.github.io/spec/core/binary/modules.html
 */
import { ManyhandsError } from '@manyhands/core'
import { BinaryReader, encodeUnsigned } from './binary-reader.ts'
import { MEMORY_IMPORT } from './memory-import.ts'
import { WASM_LIMITS } from './wasm-limits.ts'

export interface ModuleMemory {
  initialPages: number
  /** What the module itself declared, if anything. */
  maximumPages: number | undefined
}

export interface RewrittenModule {
  bytes: Uint8Array<ArrayBuffer>
  /** Undefined when the module has no memory. */
  memory: ModuleMemory | undefined
}

const SECTION = { custom: 0, type: 1, import: 2, table: 4, memory: 5 } as const
const KIND = { function: 0, table: 1, memory: 2, global: 3, tag: 4 } as const
const FUNCTION_TYPE = 0x60

const invalid = (message: string) => new ManyhandsError('IMAGE_INVALID', message)

interface Section {
  id: number
  /** Where the section's id byte is, where its content is, and where it ends. */
  start: number
  body: number
  end: number
}

function readHeader(bytes: Uint8Array, image: string): void {
  const magic = bytes.length >= 4 && new DataView(bytes.buffer, bytes.byteOffset).getUint32(0)
  if (magic !== 0x0061736d) {
    throw invalid(`${image} is not a WebAssembly module: it does not begin with \\0asm`)
  }
  if (bytes.length < 8) throw invalid(`${image} is cut off after ${bytes.length} bytes`)
  const version = bytes[4]! | (bytes[5]! << 8)
  const layer = bytes[6]! | (bytes[7]! << 8)
  if (layer === 1) {
    throw invalid(
      `${image} is a WebAssembly component; build a core module for WASI preview 1 (wasm32-wasip1)`,
    )
  }
  if (version !== 1 || layer !== 0) {
    throw invalid(`${image} is of WebAssembly version ${version}, layer ${layer}; only 1 is known`)
  }
}

function readSections(reader: BinaryReader): Section[] {
  const sections: Section[] = []
  while (!reader.done) {
    const start = reader.offset
    const id = reader.byte()
    const size = reader.unsigned()
    const body = reader.offset
    reader.skip(size)
    sections.push({ id, start, body, end: reader.offset })
  }
  return sections
}

function readLimits(reader: BinaryReader, what: string): { initial: number; maximum?: number } {
  const flags = reader.byte()
  if (flags & 0b0010) throw invalid(`${what} is shared between threads, which is not supported`)
  if (flags & 0b0100) throw invalid(`${what} has 64-bit addresses, which is not supported`)
  if (flags > 1) throw invalid(`${what} has limits of an unknown kind (flags ${flags})`)
  const initial = reader.unsigned()
  return flags === 1 ? { initial, maximum: reader.unsigned() } : { initial }
}

function readReferenceType(reader: BinaryReader): void {
  const type = reader.byte()
  if (type !== 0x70 && type !== 0x6f && type !== 0x69) {
    throw invalid(`a table holds references of an unknown type (0x${type.toString(16)})`)
  }
}

/**
 * Checks a module's outline and redirects its memory to {@link MEMORY_IMPORT}.
 *
 * @throws IMAGE_INVALID for what is not a core module, for shared, 64-bit or several memories, for
 *   garbage-collected types (they would live outside the memory cap) and for huge tables.
 */
export function redirectMemory(bytes: Uint8Array<ArrayBuffer>, image: string): RewrittenModule {
  readHeader(bytes, image)
  const sections = readSections(new BinaryReader(bytes, 8, bytes.length, image))
  const memories: ModuleMemory[] = []
  let tableEntries = 0
  let keptImports: Uint8Array[] = []
  const addMemory = (reader: BinaryReader) => {
    const { initial, maximum } = readLimits(reader, `a memory of ${image}`)
    memories.push({ initialPages: initial, maximumPages: maximum })
  }
  const addTable = (reader: BinaryReader) => {
    readReferenceType(reader)
    tableEntries += readLimits(reader, `a table of ${image}`).initial
  }

  for (const section of sections) {
    const reader = new BinaryReader(bytes, section.body, section.end, image)
    if (section.id === SECTION.type) checkTypes(reader, image)
    if (section.id === SECTION.import) keptImports = readImports(reader, addMemory, addTable)
    if (section.id === SECTION.table) {
      // A table with an initialiser (0x40 0x00) cannot be grown past what it declares either.
      for (let left = reader.unsigned(); left > 0; left -= 1) {
        if (reader.peek() === 0x40) throw invalid(`${image} has a table with an initialiser`)
        addTable(reader)
      }
    }
    if (section.id === SECTION.memory) {
      for (let left = reader.unsigned(); left > 0; left -= 1) addMemory(reader)
    }
  }
  if (memories.length > 1) {
    throw invalid(`${image} has ${memories.length} memories; only one is supported`)
  }
  if (tableEntries > WASM_LIMITS.tableEntries) {
    throw invalid(
      `${image} has tables of ${tableEntries} entries; the limit is ${WASM_LIMITS.tableEntries}`,
    )
  }
  const memory = memories[0]
  if (memory === undefined) return { bytes, memory }
  keptImports.push(memoryImport(memory.initialPages))
  return { bytes: assemble(bytes, sections, keptImports), memory }
}

function checkTypes(reader: BinaryReader, image: string): void {
  for (let left = reader.unsigned(); left > 0; left -= 1) {
    if (reader.byte() !== FUNCTION_TYPE) {
      throw invalid(`${image} uses garbage-collected types, which no memory limit bounds here`)
    }
    for (let list = 0; list < 2; list += 1) {
      for (let types = reader.unsigned(); types > 0; types -= 1) {
        // A reference type with an explicit heap type takes an index more.
        if ([0x63, 0x64].includes(reader.byte())) reader.signed()
      }
    }
  }
}

/** Returns the encoded imports but for memories, in their order. */
function readImports(
  reader: BinaryReader,
  addMemory: (reader: BinaryReader) => void,
  addTable: (reader: BinaryReader) => void,
): Uint8Array[] {
  const kept: Uint8Array[] = []
  for (let left = reader.unsigned(); left > 0; left -= 1) {
    const start = reader.offset
    reader.skip(reader.unsigned())
    reader.skip(reader.unsigned())
    const kind = reader.byte()
    if (kind === KIND.memory) {
      addMemory(reader)
      continue
    }
    if (kind === KIND.function) reader.unsigned()
    else if (kind === KIND.table) addTable(reader)
    else if (kind === KIND.global) reader.skip(2)
    else if (kind === KIND.tag) {
      reader.byte()
      reader.unsigned()
    } else throw reader.malformed(`an import of kind ${kind}`)
    kept.push(reader.slice(start))
  }
  return kept
}

function memoryImport(initialPages: number): Uint8Array {
  const module = new TextEncoder().encode(MEMORY_IMPORT)
  const field = new TextEncoder().encode('memory')
  return Uint8Array.from([
    ...encodeUnsigned(module.length),
    ...module,
    ...encodeUnsigned(field.length),
    ...field,
    KIND.memory,
    0,
    ...encodeUnsigned(initialPages),
  ])
}

function assemble(bytes: Uint8Array, sections: Section[], imports: Uint8Array[]) {
  const parts: Uint8Array[] = [bytes.subarray(0, 8)]
  const importSection = () => {
    const count = encodeUnsigned(imports.length)
    const size = imports.reduce((sum, part) => sum + part.length, count.length)
    parts.push(Uint8Array.from([SECTION.import, ...encodeUnsigned(size), ...count]), ...imports)
  }
  let written = false
  for (const section of sections) {
    // Imports follow types and precede everything else that is not custom.
    if (!written && section.id !== SECTION.custom && section.id > SECTION.type) {
      importSection()
      written = true
    }
    if (section.id === SECTION.import || section.id === SECTION.memory) continue
    parts.push(bytes.subarray(section.start, section.end))
  }
  if (!written) importSection()
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let offset = 0
  for (const part of parts) {
    out.set(part, offset)
    offset += part.length
  }
  return out
}
