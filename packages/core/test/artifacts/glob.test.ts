import { describe, expect, test } from 'vitest'
import { createGlobs } from '../../src/artifacts/glob.ts'

const takes = (glob: string, path: string) => createGlobs([glob]).takes(path)

describe('a glob', () => {
  test.each([
    ['**', 'a', true],
    ['**', '.a/b/.c', true],
    ['*', 'a', true],
    ['*', '.hidden', true],
    ['*', 'a/b', false],
    ['*.png', 'a.png', true],
    ['*.png', 'a.png.part', false],
    ['*.png', 'a/b.png', false],
    ['**/*.png', 'b.png', true],
    ['**/*.png', 'a/a/b.png', true],
    ['a/**', 'a', true],
    ['a/**', 'a/b/c', true],
    ['a/**', 'ab', false],
    ['a/**/z', 'a/z', true],
    ['a/**/z', 'a/b/c/z', true],
    ['a/**/z', 'a/b/zz', false],
    ['**/b/**/d', 'a/b/c/b/d', true],
    ['**/b/**/d/*', 'a/b/c/b/d', false],
    ['frame-????.exr', 'frame-0001.exr', true],
    ['frame-????.exr', 'frame-001.exr', false],
    ['?', '💡', true],
    ['[a-c]x', 'bx', true],
    ['[a-c]x', 'dx', false],
    ['[!a-c]x', 'dx', true],
    ['[^a-c]x', 'ax', false],
    ['[]a]', ']', true],
    ['[a-]', '-', true],
    ['[abc', '[abc', true],
    ['{a,b}.txt', 'b.txt', true],
    ['{a,b}.txt', 'c.txt', false],
    ['{a,b/{c,d}}/x', 'b/d/x', true],
    ['{a,b/{c,d}}/x', 'b/x', false],
    ['{a,}b', 'b', true],
    ['{a}', '{a}', true],
    ['{a,b', '{a,b', true],
    ['a+(b)', 'a+(b)', true],
    ['!a', 'b', false],
    ['a*b*c', 'a-b-b-c', true],
    ['a*b*c', 'a-c-b', false],
    ['line*', 'line\nbreak', true],
  ])('%s and %j: %s', (glob, path, expected) => {
    expect(takes(glob, path)).toBe(expected)
  })

  test.each([
    ['a/*.png', 'a', true],
    ['a/*.png', 'a/b', false],
    ['a/*.png', 'b', false],
    ['a/*', 'a/b', false],
    ['**/x', 'q/r/s', true],
    ['{a,b}/x', 'b', true],
    ['{a,b}/x', 'c', false],
    ['a/**', 'a', true],
  ])('%s reaches below %s: %s', (glob, directory, expected) => {
    expect(createGlobs([glob]).reaches(directory)).toBe(expected)
  })

  test('tells what took nothing', () => {
    const globs = createGlobs(['*.png', '*.exr'])
    globs.take('a.png')
    expect(globs.unmatched()).toEqual(['*.exr'])
  })

  test('made for a name costs no more than their lengths', () => {
    const name = 'a'.repeat(255)
    const deep = Array(500).fill('a').join('/')
    const pairs = [
      [`${'*a'.repeat(500)}*b`, name],
      [`${'*?'.repeat(120)}b`, name],
      [`${'*[a-z]'.repeat(120)}b`, name],
      [`${'**/a/'.repeat(200)}b`, deep],
      [`${'**/'.repeat(300)}b`, deep],
      [`${'{a,b}'.repeat(200)}`, name],
      [`${'{'.repeat(500)}${'}'.repeat(500)}`, name],
      [`${'{a,'.repeat(300)}${'}'.repeat(300)}`, name],
    ] as const
    // What tries every way through them would not come to an end.
    for (const [glob, path] of pairs) {
      const globs = createGlobs([glob])
      expect([globs.takes(path), globs.reaches(path)]).toEqual([false, expect.any(Boolean)])
    }
  })
})
