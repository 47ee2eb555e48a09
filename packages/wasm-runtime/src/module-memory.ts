/**
 * Where a module's memory comes from is changed before it is compiled: a memory that the module
 * defines or imports becomes an import of ours without a declared maximum. The worker then supplies
 * a memory whose maximum is the task's cap, so `memory.grow` fails there, and one compiled module
 * serves tasks with different caps. V8's `resourceLimits` do not bound wasm memory.
 */
import { ManyhandsError } from '@manyhands/core'
import { type BinaryReader, encodeUnsigned } from './binary-reader.ts'
import { type GrowthKnowledge, watchGrowth } from './growth-watch.ts'
import { MEMORY_IMPORT } from './memory-import.ts'
import {
  concat,
  encodeName,
  findSection,
  KIND,
  putSection,
  readerOf,
  readSections,
  SECTION,
  type Section,
  writeSections,
} from './module-sections.ts'
import { WASM_LIMITS } from './wasm-limits.ts'

export interface ModuleMemory {
  initialPages: number
  /** What the module itself declared, if anything. */
  maximumPages: number | undefined
  growth: GrowthKnowledge
}

export interface RewrittenModule {
  bytes: Uint8Array<ArrayBuffer>
  /** Undefined when the module has no memory. */
  memory: ModuleMemory | undefined
}

const FUNCTION_TYPE = 0x60

const invalid = (message: string) => new ManyhandsError('IMAGE_INVALID', message)

/** What a module's imports and own sections add up to. */
class Outline {
  readonly image: string
  readonly memories: Omit<ModuleMemory, 'growth'>[] = []
  tableEntries = 0
  /** Encoded imports but for memories, in their order. */
  readonly imports: Uint8Array[] = []
  importedFunctions = 0
  importedGlobals = 0

  constructor(image: string) {
    this.image = image
  }

  addMemory(reader: BinaryReader): void {
    const { initial, maximum } = readLimits(reader, `a memory of ${this.image}`)
    this.memories.push({ initialPages: initial, maximumPages: maximum })
  }

  addTable(reader: BinaryReader): void {
    if (reader.peek() === 0x40) throw invalid(`${this.image} has a table with an initialiser`)
    readValueType(reader)
    this.tableEntries += readLimits(reader, `a table of ${this.image}`).initial
  }
}

/**
 * Checks a module's outline and redirects its memory to {@link MEMORY_IMPORT}.
 *
 * @throws IMAGE_INVALID for what is not a core module, for shared, 64-bit or several memories, for
 *   garbage-collected types (they would live outside the memory cap) and for huge tables.
 */
export function redirectMemory(bytes: Uint8Array<ArrayBuffer>, image: string): RewrittenModule {
  const sections = readSections(bytes, image)
  const outline = readOutline(sections, image)
  if (outline.memories.length > 1) {
    throw invalid(`${image} has ${outline.memories.length} memories; only one is supported`)
  }
  if (outline.tableEntries > WASM_LIMITS.tableEntries) {
    const { tableEntries } = WASM_LIMITS
    throw invalid(
      `${image} has tables of ${outline.tableEntries} entries; the limit is ${tableEntries}`,
    )
  }
  const memory = outline.memories[0]
  if (memory === undefined) return { bytes, memory: undefined }
  const entry = concat(
    encodeName(MEMORY_IMPORT),
    encodeName('memory'),
    Uint8Array.of(KIND.memory, 0, ...encodeUnsigned(memory.initialPages)),
  )
  const count = Uint8Array.from(encodeUnsigned(outline.imports.length + 1))
  putSection(sections, SECTION.import, concat(count, ...outline.imports, entry))
  const rest = sections.filter((section) => section.id !== SECTION.memory)
  const watched = watchGrowth(rest, outline, image)
  return { bytes: writeSections(watched.sections), memory: { ...memory, growth: watched.growth } }
}

function readOutline(sections: Section[], image: string): Outline {
  const outline = new Outline(image)
  const each = (id: number, read: (reader: BinaryReader) => void) => {
    const section = findSection(sections, id)
    if (section === undefined) return
    const reader = readerOf(section, image)
    for (let left = reader.unsigned(); left > 0; left -= 1) read(reader)
  }
  each(SECTION.type, (reader) => readFunctionType(reader, image))
  each(SECTION.import, (reader) => readImport(reader, outline))
  each(SECTION.table, (reader) => outline.addTable(reader))
  each(SECTION.memory, (reader) => outline.addMemory(reader))
  return outline
}

function readFunctionType(reader: BinaryReader, image: string): void {
  if (reader.byte() !== FUNCTION_TYPE) {
    throw invalid(`${image} uses garbage-collected types, which no memory limit bounds here`)
  }
  for (let list = 0; list < 2; list += 1) {
    for (let left = reader.unsigned(); left > 0; left -= 1) readValueType(reader)
  }
}

function readImport(reader: BinaryReader, outline: Outline): void {
  const start = reader.offset
  reader.skip(reader.unsigned())
  reader.skip(reader.unsigned())
  const kind = reader.byte()
  if (kind === KIND.memory) {
    outline.addMemory(reader)
    return
  }
  if (kind === KIND.function) {
    reader.unsigned()
    outline.importedFunctions += 1
  } else if (kind === KIND.table) outline.addTable(reader)
  else if (kind === KIND.global) {
    readValueType(reader)
    reader.byte()
    outline.importedGlobals += 1
  } else if (kind === KIND.tag) {
    reader.byte()
    reader.unsigned()
  } else throw reader.malformed(`an import of kind ${kind}`)
  outline.imports.push(reader.slice(start))
}

function readLimits(reader: BinaryReader, what: string): { initial: number; maximum?: number } {
  const flags = reader.byte()
  if (flags & 0b0010) throw invalid(`${what} is shared between threads, which is not supported`)
  if (flags & 0b0100) throw invalid(`${what} has 64-bit addresses, which is not supported`)
  if (flags > 1) throw invalid(`${what} has limits of an unknown kind (flags ${flags})`)
  const initial = reader.unsigned()
  return flags === 1 ? { initial, maximum: reader.unsigned() } : { initial }
}

/** Skips a value type; a reference type with an explicit heap type takes an index more. */
function readValueType(reader: BinaryReader): void {
  const type = reader.byte()
  if (type === 0x63 || type === 0x64) reader.signed(5)
}
