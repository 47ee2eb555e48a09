/**
 * A refused `memory.grow` only answers -1 to the module, which then aborts in its own way. To tell
 * that apart from any other crash, every `memory.grow` becomes a call of an added function that does
 * the same and notes a refusal in an added global, which the worker reads when the module has failed.
 */
import { ManyhandsError } from '@manyhands/core'
import { BinaryReader, encodeUnsigned } from './binary-reader.ts'
import { findInstruction } from './function-body.ts'
import { GROWTH_REFUSED } from './memory-import.ts'
import {
  appendEntry,
  concat,
  encodeName,
  findSection,
  KIND,
  readerOf,
  SECTION,
  type Section,
} from './module-sections.ts'

const MEMORY_GROW = 0x40
const CALL = 0x10

/** `(i32) -> i32` */
const GROW_TYPE = Uint8Array.of(0x60, 1, 0x7f, 1, 0x7f)

/** A mutable i32 that begins as 0. */
const REFUSED_GLOBAL = Uint8Array.of(0x7f, 1, 0x41, 0, 0x0b)

/**
 * Whether a module's growth is told exactly, whether it never grows, or whether its code was not
 * understood and left as it is: then only its size tells.
 */
export type GrowthKnowledge = 'watched' | 'never' | 'unknown'

export function watchGrowth(
  sections: Section[],
  imported: { importedFunctions: number; importedGlobals: number },
  image: string,
): { sections: Section[]; growth: GrowthKnowledge } {
  const functions = findSection(sections, SECTION.function)
  const code = findSection(sections, SECTION.code)
  if (functions === undefined || code === undefined) return { sections, growth: 'never' }
  const growFunction = imported.importedFunctions + readerOf(functions, image).unsigned()
  const bodies = callInstead(code, growFunction, image)
  if (!Array.isArray(bodies)) return { sections, growth: bodies }

  const out = sections.map((section) => ({ ...section }))
  const type = appendEntry(out, SECTION.type, GROW_TYPE, image)
  appendEntry(out, SECTION.function, Uint8Array.from(encodeUnsigned(type)), image)
  const refused = imported.importedGlobals + appendEntry(out, SECTION.global, REFUSED_GLOBAL, image)
  const exported = Uint8Array.of(KIND.global, ...encodeUnsigned(refused))
  appendEntry(out, SECTION.export, concat(encodeName(GROWTH_REFUSED), exported), image)
  bodies.push(growBody(refused))
  const count = Uint8Array.from(encodeUnsigned(bodies.length))
  findSection(out, SECTION.code)!.content = concat(count, ...bodies.flatMap(withSize))
  return { sections: out, growth: 'watched' }
}

const withSize = (body: Uint8Array) => [Uint8Array.from(encodeUnsigned(body.length)), body]

/** Every function's body with `memory.grow` replaced, or why there are none. */
function callInstead(
  code: Section,
  growFunction: number,
  image: string,
): Uint8Array[] | 'never' | 'unknown' {
  const call = Uint8Array.of(CALL, ...encodeUnsigned(growFunction))
  const bodies: Uint8Array[] = []
  let found = false
  const reader = readerOf(code, image)
  for (let left = reader.unsigned(); left > 0; left -= 1) {
    const size = reader.unsigned()
    const start = reader.offset
    reader.skip(size)
    const body = reader.slice(start)
    const places = placesIn(body, image)
    if (places === undefined) return 'unknown'
    found ||= places.length > 0
    bodies.push(places.length === 0 ? body : replaced(body, places, call))
  }
  return found ? bodies : 'never'
}

function placesIn(body: Uint8Array, image: string) {
  // Most functions do not contain the byte at all.
  if (!body.includes(MEMORY_GROW)) return []
  try {
    return findInstruction(new BinaryReader(body, 0, body.length, image), MEMORY_GROW)
  } catch (error) {
    if (error instanceof ManyhandsError) return undefined
    throw error
  }
}

function replaced(
  body: Uint8Array,
  places: readonly { start: number; end: number }[],
  instruction: Uint8Array,
): Uint8Array {
  const parts: Uint8Array[] = []
  let copied = 0
  for (const { start, end } of places) {
    parts.push(body.subarray(copied, start), instruction)
    copied = end
  }
  return concat(...parts, body.subarray(copied))
}

/** `$0 = memory.grow($0); if ($0 == -1) refused = 1; return $0` */
const growBody = (refused: number) =>
  Uint8Array.of(
    ...[0, 0x20, 0, MEMORY_GROW, 0, 0x22, 0, 0x41, 0x7f, 0x46],
    ...[0x04, 0x40, 0x41, 1, 0x24, ...encodeUnsigned(refused), 0x0b],
    ...[0x20, 0, 0x0b],
  )
