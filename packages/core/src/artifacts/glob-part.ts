/** Whether a name is one that a part of a glob, between two slashes, stands for. */
export type GlobPart = (name: string) => boolean

type Token = '*' | '?' | { literal: string } | { ranges: [string, string][]; negated: boolean }

/** Makes a matcher of one part. What is not complete, such as a `[` alone, means itself. */
export function createGlobPart(text: string): GlobPart {
  const tokens = tokensOf([...text])
  const least = tokens.filter((token) => token !== '*').length
  if (tokens.every((token) => typeof token === 'object' && 'literal' in token)) {
    return (name) => name === text
  }
  return (name) => {
    const characters = [...name]
    // Also keeps the work small: a long part is tried with long names alone.
    return characters.length >= least && matchName(tokens, characters)
  }
}

/** Of several `*` only the last one has to be tried again. */
function matchName(tokens: Token[], characters: string[]): boolean {
  let token = 0
  let at = 0
  let star = -1
  let from = 0
  while (at < characters.length) {
    const here = tokens[token]
    if (here === '*') {
      star = token
      from = at
      token += 1
    } else if (here !== undefined && isOne(here, characters[at]!)) {
      token += 1
      at += 1
    } else if (star >= 0) {
      from += 1
      at = from
      token = star + 1
    } else return false
  }
  while (tokens[token] === '*') token += 1
  return token === tokens.length
}

function isOne(token: Exclude<Token, '*'>, character: string): boolean {
  if (token === '?') return true
  if ('literal' in token) return token.literal === character
  const found = token.ranges.some(([first, last]) => first <= character && character <= last)
  return found !== token.negated
}

function tokensOf(characters: string[]): Token[] {
  const tokens: Token[] = []
  for (let at = 0; at < characters.length; at += 1) {
    const character = characters[at]!
    if (character === '*') {
      if (tokens.at(-1) !== '*') tokens.push('*')
      continue
    }
    const set = character === '[' ? setOf(characters, at + 1) : undefined
    if (set !== undefined) {
      tokens.push(set.token)
      at = set.end
    } else tokens.push(character === '?' ? '?' : { literal: character })
  }
  return tokens
}

/** The set that begins behind a `[`; undefined when it does not end. A `]` in the first place is one of it. */
function setOf(characters: string[], begin: number): { token: Token; end: number } | undefined {
  const negated = characters[begin] === '!' || characters[begin] === '^'
  const first = negated ? begin + 1 : begin
  const end = characters.indexOf(']', first + 1)
  if (end < 0) return undefined
  const ranges: [string, string][] = []
  for (let at = first; at < end; at += 1) {
    const character = characters[at]!
    if (characters[at + 1] === '-' && at + 2 < end) {
      ranges.push([character, characters[at + 2]!])
      at += 2
    } else ranges.push([character, character])
  }
  return { token: { ranges, negated }, end }
}
