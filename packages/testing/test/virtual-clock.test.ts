import { readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { createVirtualClock } from '../src/simulated/virtual-clock.ts'

describe('virtual clock', () => {
  it('jumps from one thing to the next, in order', async () => {
    const clock = createVirtualClock()
    const happened: string[] = []
    const note = (what: string) => () => happened.push(`${clock.now()} ${what}`)
    clock.after(3_600_000, note('last'))
    clock.after(10, note('first'))
    clock.after(10, note('second'))
    const stop = clock.every(1_000_000, note('again'))
    clock.after(5, note('never'))()
    await clock.pass('1h')
    stop()
    await clock.pass('1h')
    expect(happened).toEqual([
      '10 first',
      '10 second',
      '1000000 again',
      '2000000 again',
      '3000000 again',
      '3600000 last',
    ])
    expect(clock.date().toISOString()).toBe('2026-01-01T02:00:00.000Z')
  })

  it('stands still while nobody waits', async () => {
    const clock = createVirtualClock()
    let rang = false
    clock.after(1, () => {
      rang = true
    })
    for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve))
    expect(rang).toBe(false)
    expect(clock.now()).toBe(0)
    await clock.pass(1)
    expect(rang).toBe(true)
  })

  it('never jumps past what was about to be asked for', async () => {
    const clock = createVirtualClock()
    const at: number[] = []
    const work = async () => {
      // Long chains of promises, turns of the event loop and files: all of it is now.
      for (let step = 0; step < 50; step += 1) await Promise.resolve()
      for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve))
      for (let file = 0; file < 5; file += 1) await readFile(import.meta.filename)
      clock.after(1, () => at.push(clock.now()))
    }
    clock.after(10, () => void work())
    clock.after(1_000, () => at.push(clock.now()))
    await clock.pass(2_000)
    expect(at).toEqual([11, 1_000])
  })

  it('stands still for what it cannot see', async () => {
    const clock = createVirtualClock()
    const waiting = clock.pass(1_000)
    const real = new Promise((resolve) => setTimeout(resolve, 20))
    await clock.still(real)
    expect(clock.now()).toBe(0)
    await waiting
    expect(clock.now()).toBe(1_000)
  })

  it('gives up a delay with the reason of its signal', async () => {
    const clock = createVirtualClock()
    const abort = new AbortController()
    const delay = clock.delay(1_000, { signal: abort.signal })
    clock.after(10, () => abort.abort('enough'))
    await expect(clock.during(delay)).rejects.toBe('enough')
    expect(clock.now()).toBe(10)
    await expect(clock.delay(1, { signal: AbortSignal.abort('before') })).rejects.toBe('before')
  })

  it('keeps the order of many that are called off', async () => {
    const clock = createVirtualClock()
    const seen: number[] = []
    const cancels = Array.from({ length: 5_000 }, (_, index) => {
      const ms = (index * 7919) % 5_000
      return { ms, cancel: clock.after(ms, () => seen.push(ms)) }
    })
    for (const { ms, cancel } of cancels) if (ms % 3 !== 0) cancel()
    await clock.pass(5_000)
    expect(seen).toEqual(Array.from({ length: 1_667 }, (_, index) => index * 3))
    expect(clock.events).toBe(1_668)
  })
})
