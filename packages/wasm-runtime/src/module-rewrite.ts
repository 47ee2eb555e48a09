/**
 * A module is changed before it is compiled. A memory that it defines or imports becomes an import of
 * ours without a declared maximum: the worker supplies a memory whose maximum is the task's cap, so
 * `memory.grow` fails there, and one compiled module serves tasks with different caps. (V8's
 * `resourceLimits` do not bound wasm memory.) Tables get maxima; sections for tools are left out.
 */
import { type BinaryReader, encodeUnsigned } from './binary-reader.ts'
import { type GrowthKnowledge, watchGrowth } from './growth-watch.ts'
import { MEMORY_IMPORT } from './memory-import.ts'
import { boundedTables, type Limits, readOutline } from './module-outline.ts'
import {
  concat,
  encodeName,
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

/** @throws IMAGE_INVALID for what is not a core module, and for what {@link readOutline} refuses */
export function rewriteModule(bytes: Uint8Array<ArrayBuffer>, image: string): RewrittenModule {
  const all = readSections(bytes, image)
  const outline = readOutline(all, image)
  const sections = all.filter((section) => isKept(section, image))
  if (outline.tables.length > 0) putSection(sections, SECTION.table, boundedTables(outline))
  if (outline.memory === undefined) return { bytes: writeSections(sections), memory: undefined }
  const imports = [...outline.imports, memoryImport(outline.memory)]
  const count = Uint8Array.from(encodeUnsigned(imports.length))
  putSection(sections, SECTION.import, concat(count, ...imports))
  const watched = watchGrowth(sections, outline, image)
  const { initial, maximum } = outline.memory
  return {
    bytes: writeSections(watched.sections),
    memory: { initialPages: initial, maximumPages: maximum, growth: watched.growth },
  }
}

/** Of the sections for tools only functions' names are of use: a trap shows them. */
function isKept(section: Section, image: string): boolean {
  if (section.id === SECTION.memory) return false
  if (section.id !== SECTION.custom) return true
  const reader = readerOf(section, image)
  return nameOf(reader) === 'name' && section.content.length <= WASM_LIMITS.moduleNameBytes
}

function nameOf(reader: BinaryReader): string {
  const length = reader.unsigned()
  const start = reader.offset
  reader.skip(length)
  return new TextDecoder().decode(reader.slice(start))
}

const memoryImport = ({ initial }: Limits) =>
  concat(
    encodeName(MEMORY_IMPORT),
    encodeName('memory'),
    Uint8Array.of(KIND.memory, 0, ...encodeUnsigned(initial)),
  )
