import picomatch from 'picomatch'

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

const OPTIONS = { dot: true, nonegate: true }

// picomatch's wildcards stop at line ends; such a name must be found, so that it can be refused.
const oneLine = (path: string) => path.replace(/[\n\r\u2028\u2029]/g, '_')

export function createGlobs(globs: string[]): Globs {
  const matchers = globs.map((glob) => ({
    glob,
    matches: picomatch(glob, OPTIONS),
    // Braces and groups may hold slashes: such a glob is not cut into parts, it reaches everywhere.
    parts: /[{(]/.test(glob) ? undefined : glob.split('/').map(partMatcher),
    used: false,
  }))
  return {
    takes: (path) => matchers.some((matcher) => matcher.matches(oneLine(path))),
    take(path) {
      for (const matcher of matchers) matcher.used ||= matcher.matches(oneLine(path))
    },
    reaches(directory) {
      const names = oneLine(directory).split('/')
      return matchers.some(({ parts }) => {
        if (parts === undefined) return true
        for (const [index, name] of names.entries()) {
          const part = parts[index]
          if (part === undefined) return false
          if (part === 'any') return true
          if (!part(name)) return false
        }
        return parts.length > names.length
      })
    },
    unmatched: () => matchers.filter((matcher) => !matcher.used).map((matcher) => matcher.glob),
  }
}

function partMatcher(part: string): 'any' | ((name: string) => boolean) {
  return part.includes('**') ? 'any' : picomatch(part, OPTIONS)
}
