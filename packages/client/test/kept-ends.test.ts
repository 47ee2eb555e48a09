import { LIMITS } from '@manyhands/core'
import { expect, it } from 'vitest'
import { KeptEnds } from '../src/kept-ends.ts'

it('keeps the latest ends of each host until their job is over, and nothing of other jobs', () => {
  const forgotten: string[] = []
  const kept = new KeptEnds({
    isShared: (job) => job !== 'alone',
    acknowledge: (host, attempt) => forgotten.push(`${host} ${attempt}`),
  })
  expect(kept.keep('alone', 'a', 'x.1')).toBe(false)
  for (let n = 0; n <= LIMITS.endsKeptPerHost; n += 1)
    expect(kept.keep('j', 'a', `j.${n}`)).toBe(true)
  expect(kept.keep('k', 'b', 'k.1')).toBe(true)
  expect(forgotten).toEqual(['a j.0'])
  kept.release('j')
  expect(forgotten).toHaveLength(LIMITS.endsKeptPerHost + 1)
  expect(forgotten).not.toContain('b k.1')
  kept.releaseAt('b')
  kept.releaseAt('c')
  expect(forgotten.at(-1)).toBe('b k.1')
})
