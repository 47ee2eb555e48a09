import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { JobForecast, type OccupiedSlot } from '../src/job-forecast.ts'

interface Simulated {
  /** Slots of each host. */
  hosts: Record<string, number>
  tasks: number
  /** How long a task takes at a host, ms. */
  takes(host: string, task: number): number
}

/**
 * A job in which free slots take the next task at once. Calls back after every end, with what is
 * forecast and how long it really goes on.
 */
function simulate(job: Simulated, ended: (done: number, etaMs?: number, realMs?: number) => void) {
  const clock = { ms: 0 }
  const forecast = new JobForecast(() => clock.ms)
  const running: { host: string; since: number; until: number }[] = []
  const said: { at: number; etaMs: number | undefined }[] = []
  let next = 0
  const take = (host: string) => {
    if (next === job.tasks) return
    running.push({ host, since: clock.ms, until: clock.ms + job.takes(host, next) })
    next += 1
  }
  const occupied = (): OccupiedSlot[] =>
    running.map(({ host, since }) => ({ host, elapsedMs: clock.ms - since }))
  for (const [host, slots] of Object.entries(job.hosts)) {
    for (let n = 0; n < slots; n += 1) take(host)
  }
  expect(forecast.allMs(occupied(), job.tasks - next)).toBeUndefined()
  while (running.length > 0) {
    running.sort((a, b) => a.until - b.until)
    const { host, since, until } = running.shift()!
    clock.ms = until
    forecast.finished(host, until - since)
    take(host)
    said.push({ at: clock.ms, etaMs: forecast.allMs(occupied(), job.tasks - next) })
  }
  for (const [index, { at, etaMs }] of said.entries()) ended(index + 1, etaMs, clock.ms - at)
}

describe('when a job will end', () => {
  it('is exact where every task takes as long', () => {
    simulate({ hosts: { a: 4 }, tasks: 50, takes: () => 10_000 }, (done, etaMs, realMs) => {
      // Those that end in the same moment are told one after the other.
      if (done % 4 === 0) expect(Math.abs(etaMs! - realMs!)).toBeLessThanOrEqual(10)
    })
  })

  it('knows that hosts differ', () => {
    const takes = (host: string) => (host === 'slow' ? 40_000 : 4_000)
    simulate({ hosts: { slow: 4, fast: 2 }, tasks: 200, takes }, (done, etaMs, realMs) => {
      // Once both kinds of hosts have finished something; to a tenth and one task.
      if (done >= 30) expect(Math.abs(etaMs! - realMs!)).toBeLessThan(0.1 * realMs! + 40_000)
    })
  })

  it('converges where durations scatter', () => {
    // Between half and three halves of the usual, always the same ones.
    const takes = (_: string, task: number) => 5_000 + ((task * 7919) % 101) * 100
    simulate({ hosts: { a: 3, b: 5 }, tasks: 400, takes }, (done, etaMs, realMs) => {
      if (done >= 20) expect(Math.abs(etaMs! - realMs!)).toBeLessThan(0.2 * realMs! + 15_000)
      if (done === 400) expect(etaMs).toBe(0)
    })
  })

  it('follows tasks that become slower, and forgets a single one', () => {
    const forecast = new JobForecast(() => 0)
    for (let n = 0; n < 20; n += 1) forecast.finished('a', 1_000)
    forecast.finished('a', 90_000)
    const slots = [{ host: 'a', elapsedMs: 0 }]
    expect(forecast.allMs(slots, 9)).toBeCloseTo(10_000, -2)
    for (let n = 0; n < 20; n += 1) forecast.finished('a', 8_000)
    expect(forecast.allMs(slots, 9)).toBeCloseTo(80_000, -2)
  })

  it('waits for inputs that are still on their way', () => {
    const forecast = new JobForecast(() => 0)
    forecast.finished('a', 1_000)
    expect(forecast.allMs([{ host: 'b', elapsedMs: -30_000, waitMs: 30_000 }], 0)).toBe(31_000)
    // One whose time began with its dispatch: it cannot end before its inputs are there.
    expect(forecast.allMs([{ host: 'a', elapsedMs: 500, waitMs: 30_000 }], 0)).toBe(30_000)
  })

  it('expects a slot that was just given back to be taken again, for a moment', () => {
    const clock = { ms: 0 }
    const forecast = new JobForecast(() => clock.ms)
    forecast.finished('a', 1_000)
    const slot = { host: 'a', elapsedMs: 0 }
    const both = forecast.allMs([slot, slot], 10)!
    clock.ms += 5
    expect(forecast.allMs([slot], 10)! / both).toBeLessThan(1.01)
    clock.ms += 5_000
    expect(forecast.allMs([slot], 10)! / both).toBeGreaterThan(1.5)
  })

  it('says of a task how much longer those took that took as long', () => {
    const forecast = new JobForecast()
    const of = (elapsedMs: number) => forecast.remainingMs({ host: 'a', elapsedMs })
    expect(of(0)).toBeUndefined()
    for (const ms of [1_000, 1_000, 5_000]) forecast.finished('a', ms)
    expect([of(0), of(400), of(2_000), of(6_000)]).toEqual([1_000, 600, 3_000, undefined])
  })

  it('is never in the past, no number beyond all numbers, and unknown before anything ended', () => {
    const duration = fc.oneof(
      fc.nat(10),
      fc.nat(1e7),
      fc.double({ min: 0, noNaN: true, noDefaultInfinity: true }),
    )
    const wait = fc.oneof(fc.nat(1e6), fc.maxSafeNat())
    const host = fc.constantFrom('a', 'b', 'c')
    const slot = fc.record(
      { host, elapsedMs: fc.oneof(fc.nat(), fc.integer({ min: -1e9, max: 0 })), waitMs: wait },
      { requiredKeys: ['host', 'elapsedMs'] },
    )
    const step = fc.record({
      ms: fc.nat(5_000),
      ended: fc.array(fc.tuple(host, duration), { maxLength: 5 }),
      slots: fc.array(slot, { maxLength: 20 }),
      waiting: fc.oneof(fc.nat(3), fc.nat(100_000_000)),
    })
    const holds = fc.property(fc.array(step, { maxLength: 10 }), (steps) => {
      const clock = { ms: 0 }
      const forecast = new JobForecast(() => clock.ms)
      let known = false
      for (const { ms, ended, slots, waiting } of steps) {
        clock.ms += ms
        for (const [at, took] of ended) forecast.finished(at, took)
        known ||= ended.length > 0
        const etaMs = forecast.allMs(slots, waiting)
        if (!known && slots.length > 0) expect(etaMs).toBeUndefined()
        if (etaMs === undefined) continue
        expect(Number.isFinite(etaMs)).toBe(true)
        expect(etaMs).toBeGreaterThanOrEqual(0)
      }
    })
    fc.assert(holds, { numRuns: 500 })
  })
})
