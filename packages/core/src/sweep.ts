import { ManyhandsError } from './errors.ts'

/**
 * Every combination of the given axes, lazily, the last axis fastest.
 *
 * @example
 * tasks: sweep({ scene: ['day', 'night'], frame: range(1, 24) })   // 48 items
 */
export function sweep<Axes extends Record<string, Iterable<unknown>>>(
  axes: Axes,
): Iterable<{ [Key in keyof Axes]: Axes[Key] extends Iterable<infer Value> ? Value : never }> {
  const keys = Object.keys(axes)
  if (keys.length === 0)
    throw new ManyhandsError('SPEC_INVALID', 'sweep: expected at least one axis')
  function* combine(depth: number, chosen: Record<string, unknown>): Generator<never> {
    const key = keys[depth]
    if (key === undefined) {
      yield { ...chosen } as never
      return
    }
    for (const value of axes[key]!) yield* combine(depth + 1, { ...chosen, [key]: value })
  }
  return { [Symbol.iterator]: () => combine(0, {}) }
}

/** Integers `from … to`, both included. A step may be given; it must be ≥ 1. */
export function range(from: number, to: number, step = 1): Iterable<number> {
  if (!Number.isInteger(from) || !Number.isInteger(to) || !Number.isInteger(step) || step < 1) {
    throw new ManyhandsError(
      'RANGE_INVALID',
      `range(${from}, ${to}, ${step}): expected integers, step ≥ 1`,
    )
  }
  return {
    *[Symbol.iterator]() {
      for (let item = from; item <= to; item += step) yield item
    },
  }
}
