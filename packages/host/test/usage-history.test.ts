import { NO_USAGE } from '@manyhands/core'
import { describe, expect, it } from 'vitest'
import { UsageHistory } from '../src/usage-history.ts'

const sample = (n: number) => ({ ...NO_USAGE, elapsedMs: n, cpu: n / 2 })

describe('UsageHistory', () => {
  it('gives back what was put in, oldest first', () => {
    const history = new UsageHistory()
    expect(history.samples()).toEqual([])
    history.push({ ...sample(1), gpu: 0.5 })
    history.push(sample(2))
    expect(history.samples()).toEqual([{ ...sample(1), gpu: 0.5 }, sample(2)])
  })

  it.each([31, 32, 33, 599, 600, 601, 1500])('keeps the last 600 of %i', (count) => {
    const history = new UsageHistory()
    for (let n = 0; n < count; n += 1) history.push(sample(n))
    const kept = history.samples().map(({ elapsedMs }) => elapsedMs)
    expect(kept).toEqual(
      Array.from({ length: Math.min(600, count) }, (_, n) => Math.max(0, count - 600) + n),
    )
  })
})
