import { readFile } from 'node:fs/promises'
import { LIMITS } from '@manyhands/core'
import { describe, expect, it } from 'vitest'

const page = await readFile(new URL('../docs/limits.md', import.meta.url), 'utf8')

/** `| \`name\` | value | reason |` rows of the page. */
const rows = new Map(
  [...page.matchAll(/^\| `([A-Za-z]+)` +\| ([^|]+) \| ([^|]+) \|$/gm)].map(
    ([, name, value, reason]) => [name!, { value: value!.trim(), reason: reason!.trim() }],
  ),
)

/** A limit as the page writes it. */
function written(name: string, value: number): string {
  if (name.endsWith('Bytes')) {
    if (value % 2 ** 20 === 0) return `${value / 2 ** 20} MiB`
    return value % 1024 === 0 ? `${value / 1024} KiB` : `${value} B`
  }
  if (name.endsWith('Ms'))
    return value % 60_000 === 0 ? `${value / 60_000} min` : `${value / 1000} s`
  return value.toLocaleString('en-US')
}

describe('docs/limits.md', () => {
  it.each(Object.entries(LIMITS))('gives %s with its value and a reason', (name, value) => {
    const row = rows.get(name)
    expect(row, `docs/limits.md has no row for ${name}`).toBeDefined()
    expect(row!.value).toBe(written(name, value))
    expect(row!.reason.length).toBeGreaterThan(10)
  })

  it('names no limit that does not exist', () => {
    const inner = new Set(Object.keys(LIMITS))
    const stated = [...rows.keys()].filter((name) => /[a-z][A-Z]/.test(name) || inner.has(name))
    const options = new Set(['orphanTime', 'holdResults', 'engineLost', 'maxInFlight'])
    expect(stated.filter((name) => !inner.has(name) && !options.has(name))).toEqual([])
  })
})
