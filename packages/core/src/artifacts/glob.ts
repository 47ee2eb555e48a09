import { createGlobPart, type GlobPart } from './glob-part.ts'

/** Globs over paths of a tree. `**` takes names with a leading dot too: outputs are outputs. */
export interface Globs {
  takes(path: string): boolean
  /** Remembers that something was taken, for {@link unmatched}. */
  take(path: string): void
  /** Whether something below this directory may be taken; may say yes too often, never no. */
  reaches(directory: string): boolean
  /** The globs for which nothing was taken so far. */
  unmatched(): string[]
}

/** What braces may make of all globs together; what would be more stays as it is written. */
const ALTERNATIVES = 512

type Part = '**' | GlobPart

/**
 * `*` any characters of a name, `?` one, `[a-z]` one of them, `[!a-z]` one of the others, `{a,b}` either,
 * `**` any number of directories. A glob comes from a client and a name from its task, and they may be made
 * for each other: no pair of them takes longer than the product of their lengths.
 */
export function createGlobs(globs: string[]): Globs {
  let left = Math.max(0, ALTERNATIVES - globs.length)
  const matchers = globs.map((glob) => {
    const alternatives = expandBraces(glob, left + 1)
    left -= alternatives.length - 1
    const parts = alternatives.map((text) => text.split('/').map(partOf))
    return { glob, parts, used: false }
  })
  const matches = (matcher: { parts: Part[][] }, names: string[]) =>
    matcher.parts.some((parts) => matchPath(parts, names))
  return {
    takes(path) {
      const names = path.split('/')
      return matchers.some((matcher) => matches(matcher, names))
    },
    take(path) {
      const names = path.split('/')
      for (const matcher of matchers) matcher.used ||= matches(matcher, names)
    },
    reaches(directory) {
      const names = directory.split('/')
      return matchers.some((matcher) => matcher.parts.some((parts) => reaches(parts, names)))
    },
    unmatched: () => matchers.filter((matcher) => !matcher.used).map((matcher) => matcher.glob),
  }
}

const partOf = (text: string): Part => (text === '**' ? '**' : createGlobPart(text))

/** Of several `**` only the last one has to be tried again: what it can give up, no earlier one needs. */
function matchPath(parts: Part[], names: string[]): boolean {
  let part = 0
  let name = 0
  let star = -1
  let from = 0
  while (name < names.length) {
    const here = parts[part]
    if (here === '**') {
      star = part
      from = name
      part += 1
    } else if (here?.(names[name]!)) {
      part += 1
      name += 1
    } else if (star >= 0) {
      from += 1
      name = from
      part = star + 1
    } else return false
  }
  while (parts[part] === '**') part += 1
  return part === parts.length
}

function reaches(parts: Part[], names: string[]): boolean {
  for (const [index, name] of names.entries()) {
    const part = parts[index]
    if (part === '**') return true
    if (part === undefined || !part(name)) return false
  }
  return parts.length > names.length
}

/** Every text that a glob with braces stands for; at most `most`, else the glob as it is. */
function expandBraces(glob: string, most: number): string[] {
  const done: string[] = []
  const open = [{ text: glob, from: 0 }]
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const group = firstGroup(next.text, next.from)
    if (group === undefined) done.push(next.text)
    else {
      const { before, options, after } = group
      // Braces before it are not closed, and will not be.
      for (const option of options)
        open.push({ text: before + option + after, from: before.length })
    }
    if (done.length + open.length > most) return [glob]
  }
  return done
}

/** The first brace from there on that is closed and has a comma of its own. */
function firstGroup(glob: string, from: number) {
  for (let begin = glob.indexOf('{', from); begin >= 0; begin = glob.indexOf('{', begin + 1)) {
    let depth = 0
    const cuts = [begin]
    for (let at = begin; at < glob.length; at += 1) {
      const character = glob[at]
      if (character === '{') depth += 1
      else if (character === '}') depth -= 1
      else if (character === ',' && depth === 1) cuts.push(at)
      if (depth > 0) continue
      if (cuts.length === 1) break
      cuts.push(at)
      const options = cuts.slice(1).map((cut, index) => glob.slice(cuts[index]! + 1, cut))
      return { before: glob.slice(0, begin), options, after: glob.slice(at + 1) }
    }
  }
  return undefined
}
