import fc from 'fast-check'
import { expect, it } from 'vitest'
import { Intervals } from '../src/intervals.ts'
import { type Chunk, SplitRange } from '../src/split-range.ts'

const keyOf = ({ from, to }: Chunk) => `${from}-${to}`
const range = (upTo: number) => new SplitRange([{ from: 1, to: upTo, step: 1 }], () => 0)

it('keeps sets of positions apart', () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.tuple(fc.boolean(), fc.integer({ min: 0, max: 60 }), fc.integer({ min: 0, max: 20 })),
      ),
      (steps) => {
        const model = new Set<number>()
        const set = new Intervals()
        for (const [add, first, more] of steps) {
          const one = { first, last: first + more }
          if (add) set.add(one)
          else set.remove(one)
          for (let at = first; at <= one.last; at += 1) {
            if (add) model.add(at)
            else model.delete(at)
          }
        }
        const all = [...set].flatMap(({ first, last }) =>
          Array.from({ length: last - first + 1 }, (_, n) => first + n),
        )
        expect(all).toEqual([...model].toSorted((a, b) => a - b))
        expect(set.size).toBe(model.size)
        const missing = set.missing({ first: 10, last: 30 })
        for (const { first, last } of missing) expect(set.overlaps({ first, last })).toBe(false)
      },
    ),
  )
})

it('accepts every number once, whatever fails, is late or is taken over', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 400 }),
      fc.array(fc.tuple(fc.constantFrom('cut', 'accept', 'back', 'halve'), fc.nat(5)), {
        maxLength: 300,
      }),
      (size, steps) => {
        let now = 0
        const split = new SplitRange([{ from: 1, to: size, step: 1 }], () => now)
        const out = new Map<string, { chunk: Chunk; host: string }>()
        const accepted: number[] = []
        const accept = (key: string) => {
          const { chunk, host } = out.get(key)!
          const outrun = split.accept(key, chunk)
          if (outrun === undefined) {
            split.back(key)
            out.delete(key)
            return
          }
          split.measured(host, chunk, 1 + Number(host) * (chunk.to - chunk.from + 1), 1)
          for (const other of outrun) out.delete(other)
          out.delete(key)
          for (let n = chunk.from; n <= chunk.to; n += 1) accepted.push(n)
        }
        const cut = (host: string) => {
          const chunk = split.cut(host, 6)
          if (chunk === undefined || out.has(keyOf(chunk))) return
          split.sent(keyOf(chunk), chunk, host)
          out.set(keyOf(chunk), { chunk, host })
        }
        for (const [what, n] of steps) {
          now += 10
          const key = [...out.keys()][n % Math.max(1, out.size)]
          if (what === 'cut') cut(String(n))
          else if (key === undefined) continue
          else if (what === 'accept') accept(key)
          else if (what === 'halve' && split.halve(key, out.get(key)!.chunk)) out.delete(key)
          else {
            split.back(key)
            out.delete(key)
          }
        }
        // Whatever happened, one host can bring it to its end.
        for (let rounds = 0; accepted.length < size && rounds < 5000; rounds += 1) {
          now += 1000
          if (out.size === 0) cut('0')
          const [key] = out.keys()
          if (key !== undefined) accept(key)
        }
        expect(accepted.toSorted((a, b) => a - b)).toEqual(
          Array.from({ length: size }, (_, n) => n + 1),
        )
        expect(split.waiting).toBe(0)
      },
    ),
    { numRuns: 200 },
  )
})

it('cuts by the speed that a host has shown, and smaller towards the end', () => {
  const split = range(10_000)
  for (const [host, ms] of [
    ['fast', 100],
    ['slow', 400],
  ] as const) {
    const chunk = split.cut(host, 2)!
    split.sent(keyOf(chunk), chunk, host)
    split.measured(host, chunk, ms, 0)
    split.accept(keyOf(chunk), chunk)
  }
  const sizes: Record<string, number[]> = { fast: [], slow: [] }
  for (let n = 0; n < 400 && split.waiting > 0; n += 1) {
    const host = n % 2 === 0 ? 'fast' : 'slow'
    const chunk = split.cut(host, 2)!
    sizes[host]!.push(chunk.last - chunk.first + 1)
    split.sent(keyOf(chunk), chunk, host)
    split.accept(keyOf(chunk), chunk)
  }
  expect(sizes['fast']![0]! / sizes['slow']![0]!).toBeGreaterThan(3)
  expect(sizes['fast']!.at(-1)!).toBeLessThan(sizes['fast']![0]! / 10)
})

it('never cuts across the parts of a range, and knows where each number is', () => {
  const split = new SplitRange(
    [
      { from: 1, to: 5, step: 1 },
      { from: 10, to: 20, step: 5 },
    ],
    () => 0,
  )
  expect(split.size).toBe(8)
  expect(split.positionOf(15)).toBe(6)
  expect(split.chunk({ first: 5, last: 7 })).toMatchObject({ from: 10, to: 20, step: 5 })
  const seen: number[] = []
  for (let chunk = split.cut('a', 1); chunk !== undefined; chunk = split.cut('a', 1)) {
    split.sent(keyOf(chunk), chunk, 'a')
    split.accept(keyOf(chunk), chunk)
    for (let n = chunk.from; n <= chunk.to; n += chunk.step) seen.push(n)
  }
  expect(seen).toEqual([1, 2, 3, 4, 5, 10, 15, 20])
})

/** Numbers that fail for these, the attempts that it took, and the largest part that failed for good. */
function soughtIn(size: number, bad: Set<number>) {
  const split = range(size)
  const failed: number[][] = []
  let attempts = 0
  for (let chunk = split.cut('a', 4); chunk !== undefined; chunk = split.cut('a', 4)) {
    const key = keyOf(chunk)
    split.sent(key, chunk, 'a')
    attempts += 1
    const numbers = Array.from({ length: chunk.to - chunk.from + 1 }, (_, n) => chunk.from + n)
    const fails = numbers.some((n) => bad.has(n))
    if (fails && split.halve(key, chunk)) continue
    if (fails) failed.push(numbers)
    else split.measured('a', chunk, numbers.length, 0)
    split.accept(key, chunk)
  }
  return { failed, attempts, left: split.waiting }
}

it('halves what fails until the bad numbers are alone, at the cost of a few attempts for each', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 3000 }),
      fc.uniqueArray(fc.integer({ min: 1, max: 3000 }), { maxLength: 8 }),
      (size, numbers) => {
        const bad = numbers.filter((n) => n <= size)
        const without = soughtIn(size, new Set()).attempts
        const { failed, attempts, left } = soughtIn(size, new Set(bad))
        expect(failed.flat().toSorted((a, b) => a - b)).toEqual(bad.toSorted((a, b) => a - b))
        expect(failed.every((one) => one.length === 1)).toBe(true)
        expect(left).toBe(0)
        const each = 3 * Math.ceil(Math.log2(size + 1)) + 3
        expect(attempts).toBeLessThanOrEqual(2 * without + bad.length * each)
      },
    ),
  )
})

it('gives up seeking where everything is bad', () => {
  const all = new Set(Array.from({ length: 20_000 }, (_, n) => n + 1))
  const { failed, attempts, left } = soughtIn(20_000, all)
  expect(failed.flat()).toHaveLength(20_000)
  expect(left).toBe(0)
  expect(attempts).toBeLessThan(2000)
})
