import type { LiveFile } from '@manyhands/core'
import { beforeEach, describe, expect, it } from 'vitest'
import { RipeFiles } from '../src/ripe-files.ts'

const file = (path: string, over: Partial<LiveFile> = {}): LiveFile => ({
  path,
  ino: 1n,
  size: 10,
  mtimeNs: 1000n,
  ctimeNs: 1000n,
  executable: false,
  ...over,
})

describe('a file of a running task', () => {
  let files: RipeFiles
  let nowMs = 0
  /** A look, a second later. */
  const look = (...seen: LiveFile[]) => {
    nowMs += 1000
    const { ripe, pending } = files.look(seen, nowMs)
    return { ripe: ripe.map(({ path }) => path), pending }
  }
  beforeEach(() => {
    files = new RipeFiles()
    nowMs = 0
  })

  it('is complete when nothing was written to it for two seconds', () => {
    expect(look(file('a'))).toEqual({ ripe: [], pending: true })
    expect(look(file('a'))).toEqual({ ripe: [], pending: true })
    expect(look(file('a')).ripe).toEqual(['a'])
  })

  it('is not, as long as it grows or is touched', () => {
    for (let size = 1; size < 10; size += 1) {
      const mtimeNs = BigInt(size) * 1000n
      expect(look(file('a', { size, mtimeNs, ctimeNs: mtimeNs })).ripe).toEqual([])
    }
    for (let ns = 1n; ns < 10n; ns += 1n) {
      expect(look(file('a', { mtimeNs: ns, ctimeNs: ns })).ripe).toEqual([])
    }
  })

  it('is complete after the next look when it was renamed', () => {
    const renamed = file('a', { ctimeNs: 1001n })
    expect(look(renamed).ripe).toEqual([])
    expect(look(renamed).ripe).toEqual(['a'])
  })

  it('is complete at once when it had another name before', () => {
    expect(look(file('a.part')).ripe).toEqual([])
    expect(look(file('a', { ctimeNs: 1001n })).ripe).toEqual(['a'])
  })

  it('is not, when a new file has the inode of a removed one', () => {
    expect(look(file('a.part')).ripe).toEqual([])
    expect(look(file('b', { mtimeNs: 2000n, ctimeNs: 2000n })).ripe).toEqual([])
  })

  it('does not ripen while the clock of the task stands still', () => {
    look(file('a'))
    for (let looks = 0; looks < 5; looks += 1) {
      expect(files.look([file('a')], nowMs).ripe).toEqual([])
    }
  })

  it('is taken once as it is, and again when it has changed, each time later', () => {
    const waits: number[] = []
    let current = file('a', { ctimeNs: 1001n })
    for (let change = 0; change < 6; change += 1) {
      const since = nowMs
      while (look(current).ripe.length === 0);
      files.took(current, nowMs)
      expect(look(current)).toEqual({ ripe: [], pending: false })
      waits.push(nowMs - since)
      current = { ...current, size: current.size + 1 }
    }
    expect(waits).toEqual([...waits].sort((a, b) => a - b))
    expect(waits.at(-1)).toBeGreaterThan(16_000)
  })

  it('that could not be taken is ripe again', () => {
    look(file('a', { ctimeNs: 1001n }))
    expect(look(file('a', { ctimeNs: 1001n })).ripe).toEqual(['a'])
    expect(look(file('a', { ctimeNs: 1001n })).ripe).toEqual(['a'])
  })
})
