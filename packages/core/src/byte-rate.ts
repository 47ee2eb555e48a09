import { formatByteSize, parseByteSize } from './byte-size.ts'
import { ManyhandsError } from './errors.ts'

/** Bytes per second as a number, or a text such as `'10MiB/s'`, `'1.5GB/s'`, `'50Mbit/s'`. */
export type ByteRate = number | string

/** Bits as networks are sold: powers of ten. */
const BITS: Record<string, number> = { bit: 1, kbit: 1e3, mbit: 1e6, gbit: 1e9 }

/**
 * Bytes per second of a {@link ByteRate}, an integer ≥ 0. A text says `/s`, so that it is not taken for
 * an amount; its units are case-insensitive, so `Mb/s` are bytes: bits are written out.
 *
 * @throws SPEC_INVALID naming the field, what was expected and what came
 */
export function parseByteRate(value: ByteRate, field = 'rate'): number {
  try {
    if (typeof value === 'number') return parseByteSize(value, field)
    const [, amount, unit] = /^\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*\/\s*s\s*$/i.exec(value) ?? []
    const bits = BITS[unit?.toLowerCase() ?? '']
    if (bits !== undefined) return parseByteSize((Number(amount) * bits) / 8, field)
    if (amount !== undefined) return parseByteSize(`${amount}${unit}`, field)
  } catch {
    // Said below, for rates.
  }
  throw new ManyhandsError(
    'SPEC_INVALID',
    `${field}: expected bytes per second or a text such as '10MiB/s', got ${JSON.stringify(value)}`,
    { details: { field } },
  )
}

/** A rate for people: `'10.0 MiB/s'`. */
export const formatByteRate = (bytesPerSecond: number) => `${formatByteSize(bytesPerSecond)}/s`
