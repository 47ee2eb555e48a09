/**
 * What a module consists of, as far as it matters to its host. Whatever V8 would keep for it outside
 * of its memory is counted and bounded here: a heap that runs full ends the whole process.
 */
import { ManyhandsError } from '@manyhands/core'
import { type BinaryReader, encodeUnsigned } from './binary-reader.ts'
import { concat, findSection, KIND, readerOf, SECTION, type Section } from './module-sections.ts'
import { WASM_LIMITS } from './wasm-limits.ts'

export interface Limits {
  initial: number
  maximum: number | undefined
}

export interface ModuleOutline {
  /** The one memory, the module's own or imported. */
  memory: Limits | undefined
  /** Encoded imports but for memories, in their order. */
  imports: Uint8Array[]
  importedFunctions: number
  importedGlobals: number
  tables: { type: Uint8Array; limits: Limits }[]
}

const FUNCTION_TYPE = 0x60
const REFERENCE_TYPES = [0x70, 0x6f]

const COUNTED: [id: number, what: string, limit: number][] = [
  [SECTION.type, 'types', WASM_LIMITS.moduleTypes],
  [SECTION.import, 'imports', WASM_LIMITS.moduleImports],
  [SECTION.function, 'functions', WASM_LIMITS.moduleFunctions],
  [SECTION.table, 'tables', WASM_LIMITS.moduleTables],
  [SECTION.tag, 'tags', WASM_LIMITS.moduleTags],
  [SECTION.global, 'globals', WASM_LIMITS.moduleGlobals],
  [SECTION.export, 'exports', WASM_LIMITS.moduleExports],
  [SECTION.element, 'element segments', WASM_LIMITS.moduleElementSegments],
  [SECTION.data, 'data segments', WASM_LIMITS.moduleDataSegments],
]

const invalid = (message: string) => new ManyhandsError('IMAGE_INVALID', message)

/**
 * @throws IMAGE_INVALID for shared, 64-bit or several memories, for garbage-collected types (they would
 *   live outside the memory cap), for huge tables and for too many parts of any kind
 */
export function readOutline(sections: readonly Section[], image: string): ModuleOutline {
  for (const [id, what, limit] of COUNTED) {
    const section = findSection(sections, id)
    const count = section === undefined ? 0 : readerOf(section, image).unsigned()
    if (count > limit) throw invalid(`${image} has ${count} ${what}; the limit is ${limit}`)
  }
  const memories: Limits[] = []
  const outline: ModuleOutline = {
    memory: undefined,
    imports: [],
    importedFunctions: 0,
    importedGlobals: 0,
    tables: [],
  }
  const each = (id: number, read: (reader: BinaryReader) => void) => {
    const section = findSection(sections, id)
    if (section === undefined) return
    const reader = readerOf(section, image)
    for (let left = reader.unsigned(); left > 0; left -= 1) read(reader)
  }
  each(SECTION.type, (reader) => readFunctionType(reader, image))
  each(SECTION.import, (reader) => readImport(reader, outline, memories, image))
  each(SECTION.table, (reader) => outline.tables.push(readTable(reader, image)))
  each(SECTION.memory, (reader) => memories.push(readLimits(reader, `a memory of ${image}`)))
  if (memories.length > 1) {
    throw invalid(`${image} has ${memories.length} memories; only one is supported`)
  }
  const entries = outline.tables.reduce((sum, { limits }) => sum + limits.initial, 0)
  if (entries > WASM_LIMITS.tableEntries) {
    const { tableEntries } = WASM_LIMITS
    throw invalid(`${image} has tables of ${entries} entries; the limit is ${tableEntries}`)
  }
  return { ...outline, memory: memories[0] }
}

/** The table section with maxima, so that all tables together stay within the limit when they grow. */
export function boundedTables({ tables }: ModuleOutline): Uint8Array {
  const entries = tables.reduce((sum, { limits }) => sum + limits.initial, 0)
  const room = Math.floor((WASM_LIMITS.tableEntries - entries) / tables.length)
  return concat(
    Uint8Array.from(encodeUnsigned(tables.length)),
    ...tables.map(({ type, limits: { initial, maximum } }) => {
      const bound = Math.min(maximum ?? Number.POSITIVE_INFINITY, initial + room)
      return Uint8Array.of(...type, 1, ...encodeUnsigned(initial), ...encodeUnsigned(bound))
    }),
  )
}

function readFunctionType(reader: BinaryReader, image: string): void {
  if (reader.byte() !== FUNCTION_TYPE) {
    throw invalid(`${image} uses garbage-collected types, which no memory limit bounds here`)
  }
  for (let list = 0; list < 2; list += 1) {
    for (let left = reader.unsigned(); left > 0; left -= 1) readValueType(reader)
  }
}

function readImport(
  reader: BinaryReader,
  outline: ModuleOutline,
  memories: Limits[],
  image: string,
): void {
  const start = reader.offset
  reader.skip(reader.unsigned())
  reader.skip(reader.unsigned())
  const kind = reader.byte()
  if (kind === KIND.memory) {
    memories.push(readLimits(reader, `a memory of ${image}`))
    return
  }
  if (kind === KIND.function) {
    reader.unsigned()
    outline.importedFunctions += 1
  } else if (kind === KIND.table) readTable(reader, image)
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

function readTable(reader: BinaryReader, image: string) {
  const start = reader.offset
  if (!REFERENCE_TYPES.includes(reader.byte())) {
    throw invalid(`${image} has a table of another kind than funcref or externref`)
  }
  return { type: reader.slice(start), limits: readLimits(reader, `a table of ${image}`) }
}

function readLimits(reader: BinaryReader, what: string): Limits {
  const flags = reader.byte()
  if (flags & 0b0010) throw invalid(`${what} is shared between threads, which is not supported`)
  if (flags & 0b0100) throw invalid(`${what} has 64-bit addresses, which is not supported`)
  if (flags > 1) throw invalid(`${what} has limits of an unknown kind (flags ${flags})`)
  const initial = reader.unsigned()
  return { initial, maximum: flags === 1 ? reader.unsigned() : undefined }
}

/** Skips a value type; a reference type with an explicit heap type takes an index more. */
function readValueType(reader: BinaryReader): void {
  const type = reader.byte()
  if (type === 0x63 || type === 0x64) reader.signed(5)
}
