import { ManyhandsError } from './errors.ts'
import { LIMITS } from './limits.ts'

/** Integers from one to another, both included; the last one may be below `to`. */
export interface RangePart {
  from: number
  to: number
  step: number
}

/** Integers, lazily, and how many they are. */
export interface ItemRange extends Iterable<number> {
  readonly size: number
  /** As written. */
  readonly parts: readonly RangePart[]
}

/**
 * Integers of a range text, in the order written: `'1-250,300'`, `'1-9x2'` (step 2), `'-5--1'`.
 * Lazily: a range of a million costs nothing until it is read.
 *
 * @throws RANGE_INVALID naming the part that is wrong, before the first item is read
 */
export function itemRange(text: string): ItemRange {
  const parts = text.split(',').map((part) => parsePart(part.trim(), text))
  const total = parts.reduce(
    (sum, part) => sum + Math.floor((part.to - part.from) / part.step) + 1,
    0,
  )
  if (total > LIMITS.itemsPerRange) {
    throw new ManyhandsError(
      'RANGE_INVALID',
      `range '${text}' has ${total} items, more than ${LIMITS.itemsPerRange}`,
    )
  }
  return {
    size: total,
    parts,
    *[Symbol.iterator]() {
      for (const { from, to, step } of parts) {
        for (let item = from; item <= to; item += step) yield item
      }
    },
  }
}

function parsePart(part: string, whole: string): RangePart {
  const match = /^(-?\d{1,15})(?:\s*-\s*(-?\d{1,15}))?(?:\s*x\s*(\d{1,15}))?$/.exec(part)
  if (match === null) {
    throw new ManyhandsError(
      'RANGE_INVALID',
      `range '${whole}': expected an integer, a-b or a-bxSTEP, got '${part}'`,
    )
  }
  const from = Number(match[1])
  const to = match[2] === undefined ? from : Number(match[2])
  const step = match[3] === undefined ? 1 : Number(match[3])
  if (to < from) {
    throw new ManyhandsError(
      'RANGE_INVALID',
      `range '${whole}': '${part}' runs backwards; did you mean '${to}-${from}'?`,
    )
  }
  if (step < 1) {
    throw new ManyhandsError('RANGE_INVALID', `range '${whole}': the step of '${part}' must be ≥ 1`)
  }
  return { from, to, step }
}
