import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type Agreement,
  mayJudge,
  nextStep,
  openAgreement,
  withComparison,
  withResult,
} from '../../src/verify/agreement.ts'

const origin = (n: number) => ({ peer: `host-${n}`, addresses: [`10.0.${n}.1`] })

/** Results with these values; they are the same when they are no further apart than `tolerance`. */
function agreementOf(wanted: number, values: number[], tolerance = 0): Agreement {
  let agreement = openAgreement(wanted)
  for (const n of values.keys()) {
    agreement = withResult(agreement, { id: `r${n}`, host: origin(n) })
  }
  for (const [n, a] of values.entries()) {
    for (const [m, b] of values.entries()) {
      const apart = Math.abs(a - b)
      const distance = apart <= tolerance ? apart : (false as const)
      if (n < m) agreement = withComparison(agreement, { a: `r${n}`, b: `r${m}`, distance })
    }
  }
  return agreement
}

const stepOf = (...given: Parameters<typeof agreementOf>) => nextStep(agreementOf(...given))

describe('agreement', () => {
  it('asks until there are as many as are wanted, and compares', () => {
    expect(nextStep(openAgreement(3))).toEqual({ step: 'ask', count: 3 })
    expect(stepOf(3, [1])).toEqual({ step: 'ask', count: 2 })
    const two = { ...agreementOf(2, [1, 1]), pairs: [] }
    expect(nextStep(two)).toEqual({ step: 'compare', pairs: [['r0', 'r1']] })
  })

  it('is there when two are the same', () => {
    expect(stepOf(2, [1, 1])).toEqual({
      step: 'accept',
      accepted: 'r0',
      agreed: ['r0', 'r1'],
      wrong: [],
    })
  })

  it('asks a third host when two differ, and says who was wrong', () => {
    expect(stepOf(2, [1, 2])).toEqual({ step: 'ask', count: 1 })
    expect(stepOf(2, [1, 2, 2])).toMatchObject({ accepted: 'r1', wrong: ['r0'] })
  })

  it('needs a majority: two of four are none, nor are two of five', () => {
    expect(stepOf(2, [1, 2, 3])).toEqual({ step: 'ask', count: 1 })
    expect(stepOf(2, [1, 2, 3, 1])).toEqual({ step: 'ask', count: 1 })
    expect(stepOf(2, [1, 2, 3, 1, 1])).toMatchObject({ accepted: 'r0', wrong: ['r1', 'r2'] })
    expect(stepOf(2, [1, 2, 3, 1, 2])).toEqual({
      step: 'disputed',
      results: ['r0', 'r1', 'r2', 'r3', 'r4'],
    })
  })

  it('needs as many as are wanted, also where fewer would be most', () => {
    expect(stepOf(3, [1, 1, 2])).toEqual({ step: 'ask', count: 1 })
    expect(stepOf(3, [1, 1, 2, 1])).toMatchObject({ step: 'accept', wrong: ['r2'] })
    expect(stepOf(5, [1, 1, 1, 1, 2]).step).toBe('disputed')
  })

  it('is no chain: each has to be the same as each', () => {
    // 1 ~ 2 ~ 3 ~ 4, but nothing further apart.
    expect(stepOf(3, [1, 3, 2], 1)).toEqual({ step: 'ask', count: 1 })
    expect(stepOf(3, [1, 3, 2, 2], 1)).toMatchObject({ step: 'accept', wrong: [] })
    expect(stepOf(3, [1, 2, 3, 4, 5], 1).step).toBe('disputed')
  })

  it('takes the result that is nearest to the others', () => {
    expect(stepOf(3, [10, 14, 11], 5)).toMatchObject({ accepted: 'r2' })
    expect(stepOf(4, [0, 4, 4.5, 5], 5)).toMatchObject({ accepted: 'r1' })
  })

  it('takes, of two that are as near, the one that most are the same as', () => {
    expect(stepOf(2, [3, 1, 2], 1)).toMatchObject({ accepted: 'r2', wrong: [] })
  })

  it('asks nobody who is a neighbour, and counts nobody twice', () => {
    const one = withResult(openAgreement(2), { id: 'r0', host: origin(0) })
    const neighbour = { peer: 'another', addresses: ['10.0.0.77'] }
    expect(mayJudge(one, neighbour)).toBe(false)
    expect(mayJudge(one, origin(1))).toBe(true)
    expect(withResult(one, { id: 'r1', host: neighbour })).toBe(one)
    expect(withResult(one, { id: 'r1', host: origin(0) })).toBe(one)
    const five = agreementOf(2, [1, 2, 3, 4, 5])
    expect(withResult(five, { id: 'r5', host: origin(5) })).toBe(five)
  })

  it('takes one word for a pair, of results that are there', () => {
    const two = agreementOf(2, [1, 2])
    for (const [a, b] of [
      ['r0', 'r1'],
      ['r1', 'r0'],
      ['r0', 'r0'],
      ['r0', 'r9'],
    ] as const) {
      expect(withComparison(two, { a, b, distance: 0 })).toBe(two)
    }
  })

  it('survives being kept as JSON', () => {
    const agreement = agreementOf(2, [1, 2, 1])
    expect(nextStep(JSON.parse(JSON.stringify(agreement)))).toEqual(nextStep(agreement))
  })

  const situation = fc.record({
    wanted: fc.integer({ min: 2, max: 5 }),
    values: fc.array(fc.integer({ min: 0, max: 6 }), { minLength: 1, maxLength: 5 }),
    tolerance: fc.integer({ min: 0, max: 3 }),
  })

  it('accepts only what enough of them hold among each other, whatever comes', () => {
    fc.assert(
      fc.property(situation, ({ wanted, values, tolerance }) => {
        const step = stepOf(wanted, values, tolerance)
        if (step.step === 'ask') expect(values.length + step.count).toBeLessThanOrEqual(5)
        if (step.step !== 'accept') return
        const value = (id: string) => values[Number(id.slice(1))]!
        const near = step.agreed.map(value)
        expect(near.length).toBeGreaterThanOrEqual(wanted)
        expect(near.length * 2).toBeGreaterThan(values.length)
        for (const agreed of near) {
          expect(Math.abs(agreed - value(step.accepted))).toBeLessThanOrEqual(tolerance)
        }
        expect(step.agreed.length + step.wrong.length).toBe(values.length)
      }),
    )
  })

  it('does not depend on the order in which pairs were compared', () => {
    fc.assert(
      fc.property(situation, fc.integer(), ({ wanted, values, tolerance }, seed) => {
        const agreement = agreementOf(wanted, values, tolerance)
        const pairs = agreement.pairs
          .map((pair, n) => ({ pair, key: Math.sin(seed + n) }))
          .sort((a, b) => a.key - b.key)
          .map(({ pair: { a, b, distance } }) => ({ a: b, b: a, distance }))
        expect(nextStep({ ...agreement, pairs })).toEqual(nextStep(agreement))
      }),
    )
  })
})
