import { ManyhandsError } from './errors.ts'

/** Bytes as a number, or a text such as `'512MiB'`, `'8GiB'`, `'1.5GB'`. */
export type ByteSize = number | string

const UNITS: Record<string, number> = {
  b: 1,
  k: 1024,
  kib: 1024,
  m: 1024 ** 2,
  mib: 1024 ** 2,
  g: 1024 ** 3,
  gib: 1024 ** 3,
  t: 1024 ** 4,
  tib: 1024 ** 4,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
}

/**
 * Bytes of a {@link ByteSize}, an integer ≥ 0. Units are case-insensitive; a bare letter is binary.
 *
 * @throws SPEC_INVALID naming the field, what was expected and what came
 */
export function parseByteSize(value: ByteSize, field = 'size'): number {
  const fail = () =>
    new ManyhandsError(
      'SPEC_INVALID',
      `${field}: expected bytes or a text such as '512MiB', got ${JSON.stringify(value)}`,
      { details: { field } },
    )
  if (typeof value === 'number') {
    if (!Number.isFinite(value) || value < 0 || value > Number.MAX_SAFE_INTEGER) throw fail()
    return Math.round(value)
  }
  const match = /^\s*(\d+(?:\.\d+)?)\s*([a-z]+)?\s*$/i.exec(value)
  const unit = match?.[2] === undefined ? 1 : UNITS[match[2].toLowerCase()]
  if (match === null || unit === undefined) throw fail()
  const bytes = Math.round(Number(match[1]) * unit)
  if (bytes > Number.MAX_SAFE_INTEGER) throw fail()
  return bytes
}

/** A size for people: `'1.5 GiB'`. */
export function formatByteSize(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let value = bytes
  let unit = 0
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit += 1
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`
}
