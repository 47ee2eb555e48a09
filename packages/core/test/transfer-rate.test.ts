import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { TransferMeter, transferProgressSchema } from '../src/transfer-progress.ts'
import { TransferRate } from '../src/transfer-rate.ts'

const MIB = 1024 ** 2

/** A clock that goes only when it is told to. */
function played() {
  const clock = { ms: 1_000_000, now: () => clock.ms }
  return clock
}

describe('the rate of a transfer', () => {
  const measured = () => {
    const clock = played()
    const rate = new TransferRate(clock.now)
    /** Pieces of a size, one every so many ms. */
    const flow = (bytes: number, everyMs: number, times: number, each = () => {}) => {
      for (let n = 0; n < times; n += 1) {
        clock.ms += everyMs
        rate.add(bytes)
        each()
      }
    }
    return { clock, rate, flow }
  }

  it('is unknown until something has moved for a moment', () => {
    const { clock, rate } = measured()
    expect([rate.perSecond, rate.remainingMs(10)]).toEqual([0, undefined])
    clock.ms += 20
    rate.add(MIB)
    expect(rate.remainingMs(10)).toBeUndefined()
    clock.ms += 80
    rate.add(MIB)
    expect(rate.perSecond).toBeCloseTo(20 * MIB)
    expect(rate.remainingMs(40 * MIB)).toBe(2000)
    expect(rate.remainingMs(0)).toBe(0)
  })

  it.each([
    [1, 256 * 1024],
    [250, 25 * MIB],
    [4000, 4 * MIB],
  ])('is steady where pieces come every %d ms', (everyMs, bytes) => {
    const { clock, rate, flow } = measured()
    flow(bytes, everyMs, 200)
    const exact = (bytes * 1000) / everyMs
    flow(bytes, everyMs, 100, () => {
      expect(rate.perSecond).toBeCloseTo(exact, -2)
      clock.ms += everyMs / 2
      expect(rate.perSecond).toBeCloseTo(exact, -2)
      clock.ms -= everyMs / 2
    })
  })

  it('follows a change within some seconds, without a jump', () => {
    const { rate, flow } = measured()
    flow(MIB, 100, 100)
    let before = rate.perSecond
    flow(2 * MIB, 100, 90, () => {
      expect(rate.perSecond).toBeGreaterThanOrEqual(before)
      expect(rate.perSecond / before).toBeLessThan(1.05)
      before = rate.perSecond
    })
    expect(rate.perSecond).toBeGreaterThan(19 * MIB)
  })

  it('sinks while nothing comes, to nothing', () => {
    const { clock, rate, flow } = measured()
    flow(MIB, 100, 100)
    clock.ms += 3000
    expect(rate.perSecond).toBeLessThan(5 * MIB)
    expect(rate.remainingMs(MIB)).toBeGreaterThan(200)
    clock.ms += 60_000
    expect([rate.perSecond, rate.remainingMs(MIB)]).toEqual([0, undefined])
    flow(MIB, 100, 100)
    expect(rate.perSecond).toBeGreaterThan(9 * MIB)
  })

  it('is never less than nothing, and no end is ever in the past or beyond all numbers', () => {
    const steps = fc.array(
      fc.record({
        ms: fc.oneof(fc.nat(5), fc.nat(100_000), fc.double({ min: 0, max: 1, noNaN: true })),
        bytes: fc.oneof(fc.constant(0), fc.nat(), fc.maxSafeNat()),
      }),
      { maxLength: 60 },
    )
    const holds = fc.property(steps, fc.maxSafeNat(), (all, left) => {
      const { clock, rate } = measured()
      for (const { ms, bytes } of all) {
        clock.ms += ms
        rate.add(bytes)
        expect(rate.perSecond).toBeGreaterThanOrEqual(0)
        expect(Number.isFinite(rate.perSecond)).toBe(true)
        const remainingMs = rate.remainingMs(left)
        if (remainingMs !== undefined) {
          expect(remainingMs).toBeGreaterThanOrEqual(0)
          expect(Number.isFinite(remainingMs)).toBe(true)
        }
      }
    })
    fc.assert(holds, { numRuns: 300 })
  })
})

describe('how far a transfer is', () => {
  it('has a total as soon as it is known of every artifact', () => {
    const clock = played()
    const meter = new TransferMeter('inputs', [['a'], ['b']], clock.now)
    expect(meter.progress()).toEqual({ phase: 'inputs', bytes: 0, rate: 0 })
    meter.progressed('a', 0, 100)
    clock.ms += 1000
    meter.progressed('a', 50, 100)
    expect(meter.progress()).toEqual({ phase: 'inputs', bytes: 50, rate: 50 })
    // Half of it was here already.
    meter.complete('a')
    meter.progressed('b', 0, 150)
    expect(meter.progress()).toMatchObject({ bytes: 50, total: 200, rate: 50, etaMs: 3000 })
    // Nothing of the other one is missing after all.
    meter.complete('b')
    expect(meter.progress()).toEqual({
      phase: 'inputs',
      bytes: 50,
      total: 50,
      rate: 50,
      etaMs: 0,
    })
  })

  it('has a total at once where sizes were told before, and believes what it finds', () => {
    const meter = new TransferMeter('inputs', [
      ['a', 100],
      ['b', 150],
    ])
    expect(meter.progress()).toMatchObject({ bytes: 0, total: 250 })
    meter.progressed('a', 10, 60)
    expect(meter.progress()).toMatchObject({ bytes: 10, total: 210 })
    meter.complete('a')
    expect(meter.progress()).toMatchObject({ bytes: 10, total: 160 })
  })

  it('is believed of a peer only as far as its sums are numbers', () => {
    const fair = { phase: 'inputs', bytes: 1, total: 2, rate: 3, etaMs: 4 }
    expect(transferProgressSchema.parse(fair)).toEqual(fair)
    for (const field of ['bytes', 'total', 'rate', 'etaMs']) {
      for (const value of [-1, 1e300, Number.POSITIVE_INFINITY, Number.NaN]) {
        expect(transferProgressSchema.safeParse({ ...fair, [field]: value }).success).toBe(false)
      }
    }
  })

  it('never has less to come than came, and never goes back', () => {
    const meter = new TransferMeter('outputs', [['a']])
    meter.progressed('a', 10, 5)
    expect(meter.progress()).toMatchObject({ bytes: 10, total: 10 })
    meter.progressed('a', 4, 5)
    meter.progressed('unknown', 100)
    expect(meter.progress().bytes).toBe(10)
  })

  it('takes what came before it joined as no sign of speed', () => {
    const clock = played()
    const meter = new TransferMeter('inputs', [['a']], clock.now)
    clock.ms += 1000
    meter.progressed('a', 900, 1000, true)
    expect(meter.progress()).toEqual({ phase: 'inputs', bytes: 900, total: 1000, rate: 0 })
    clock.ms += 1000
    meter.progressed('a', 920, 1000, true)
    expect(meter.progress().rate).toBe(10)
  })
})
