import { NO_USAGE, type Usage } from '@manyhands/core'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Attempt } from '../src/attempt.ts'
import { UsageMeter } from '../src/usage-meter.ts'
import { runningAttempt } from './attempt-for-tests.ts'

const never = () => new Promise<Usage>(() => {})

describe('UsageMeter', () => {
  let attempts: Attempt[]
  let measured: string[]
  let meter: UsageMeter

  beforeEach(() => {
    vi.useFakeTimers()
    attempts = []
    measured = []
    meter = new UsageMeter(
      () => attempts,
      (attempt) => measured.push(attempt.id),
    )
  })
  afterEach(() => {
    meter.close()
    vi.useRealTimers()
  })

  const seconds = (count: number) => vi.advanceTimersByTimeAsync(count * 1000)

  it('measures every running attempt once a second and remembers it', async () => {
    attempts = [runningAttempt('a.1'), runningAttempt('b.1')]
    await seconds(3)
    expect(measured.toSorted()).toEqual(['a.1', 'a.1', 'a.1', 'b.1', 'b.1', 'b.1'])
    expect(attempts[0]!.history.samples()).toHaveLength(3)
  })

  it('is not held up by one that never answers, whom it asks once', async () => {
    const stats = vi.fn(never)
    attempts = [runningAttempt('hung.1', { stats }), runningAttempt('well.1')]
    await seconds(5)
    expect(measured).toEqual(Array(5).fill('well.1'))
    expect(stats).toHaveBeenCalledTimes(1)
  })

  it('asks a runtime that hangs a bounded number of times, and the others as ever', async () => {
    const stats = vi.fn(never)
    attempts = Array.from({ length: 200 }, (_, n) => runningAttempt(`hung.${n}`, { stats }))
    attempts.push(runningAttempt('well.1', { runtime: 'wasm' }))
    await seconds(4)
    expect(measured).toEqual(Array(4).fill('well.1'))
    expect(stats.mock.calls.length).toBe(32)
  })

  it('gets round to everybody when there are many', async () => {
    attempts = Array.from({ length: 200 }, (_, n) => runningAttempt(`many.${n}`))
    await seconds(1)
    expect(new Set(measured).size).toBe(200)
  })

  it('ends an attempt without its last sample when none comes', async () => {
    const attempt = runningAttempt('hung.1', { stats: never })
    const last = meter.last(attempt)
    await seconds(2)
    await last
  })

  it('keeps the most memory there was, and the last sample when the engine fails', async () => {
    const answers = [
      { ...NO_USAGE, memoryPeak: 9, memory: 9 },
      { ...NO_USAGE, memoryPeak: 4 },
    ]
    const stats = () => {
      const next = answers.shift()
      return next === undefined ? Promise.reject(new Error('away')) : Promise.resolve(next)
    }
    attempts = [runningAttempt('a.1', { stats })]
    await seconds(3)
    expect(attempts[0]!.usage).toMatchObject({ memory: 0, memoryPeak: 9 })
  })
})
