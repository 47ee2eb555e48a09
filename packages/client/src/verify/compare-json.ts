import { inTurns, type JsonComparator, LIMITS, type Work } from '@manyhands/core'
import type { FileComparison } from './compare-files.ts'
import { type Comparison, different, near } from './comparison.ts'
import { Unreadable } from './unreadable.ts'

const RELATIVE = 1e-9
const VALUES_PER_TURN = 1024

/** Numbers within the tolerances, and all else exactly. */
export function jsonFiles({ absolute = 0, relative = RELATIVE }: JsonComparator): FileComparison {
  return {
    kind: ['**/*.json'],
    maxBytes: LIMITS.comparedJsonBytes,
    compare: (path, a, b) => {
      const comparison = new JsonComparison(absolute, relative)
      return inTurns(comparison.compare(path, parse(a), parse(b)))
    },
  }
}

function parse(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    throw new Unreadable('it is not JSON')
  }
}

/** Two documents, side by side. How deep and how wide they are is their writers' choice. */
class JsonComparison {
  readonly #absolute: number
  readonly #relative: number
  #distance = 0
  #seen = 0

  constructor(absolute: number, relative: number) {
    this.#absolute = absolute
    this.#relative = relative
  }

  *compare(path: string, a: unknown, b: unknown): Work<Comparison> {
    const unlike = yield* this.#values(a, b, 0)
    if (unlike === undefined) return { equal: true, distance: this.#distance }
    return different(`${path} differs at ${unlike.slice(0, 200)}`)
  }

  /** Where they differ; undefined where they do not. */
  *#values(a: unknown, b: unknown, depth: number): Work<string | undefined> {
    this.#seen += 1
    if (this.#seen % VALUES_PER_TURN === 0) yield
    if (typeof a === 'number' && typeof b === 'number') return this.#numbers(a, b)
    if (!isContainer(a) || !isContainer(b)) return a === b ? undefined : ''
    if (depth >= LIMITS.comparedJsonDepth) throw new Unreadable('it is too deep')
    if (Array.isArray(a) !== Array.isArray(b)) return ''
    if (Array.isArray(a)) return yield* this.#lists(a, b as unknown[], depth)
    return yield* this.#records(a as Values, b as Values, depth)
  }

  #numbers(a: number, b: number): string | undefined {
    if (!near(a, b, this.#absolute, this.#relative)) return ` (${a} and ${b})`
    if (a !== b) {
      const apart = Math.abs(a - b) / Math.max(Math.abs(a), Math.abs(b))
      this.#distance = Math.max(this.#distance, apart)
    }
    return undefined
  }

  *#lists(a: unknown[], b: unknown[], depth: number): Work<string | undefined> {
    if (a.length !== b.length) return ` (${a.length} and ${b.length} entries)`
    for (let at = 0; at < a.length; at += 1) {
      const unlike = yield* this.#values(a[at], b[at], depth + 1)
      if (unlike !== undefined) return `[${at}]${unlike}`
    }
    return undefined
  }

  *#records(a: Values, b: Values, depth: number): Work<string | undefined> {
    const keys = Object.keys(a)
    const others = Object.keys(b).length
    if (keys.length !== others) return ` (${keys.length} and ${others} entries)`
    for (const key of keys) {
      const name = `.${key.slice(0, 80)}`
      if (!Object.hasOwn(b, key)) return name
      const unlike = yield* this.#values(a[key], b[key], depth + 1)
      if (unlike !== undefined) return name + unlike
    }
    return undefined
  }
}

type Values = Record<string, unknown>

function isContainer(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}
