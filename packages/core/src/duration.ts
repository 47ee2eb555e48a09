import { ManyhandsError } from './errors.ts'

/** Milliseconds as a number, or a text such as `'250ms'`, `'30s'`, `'5m'`, `'2h'`, `'7d'`. */
export type Duration = number | string

const UNITS: Record<string, number> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
}

/**
 * Milliseconds of a {@link Duration}, an integer ≥ 0.
 *
 * @param field - where the value came from; the error names it
 * @throws SPEC_INVALID naming the field, what was expected and what came
 */
export function parseDuration(value: Duration, field = 'duration'): number {
  const fail = () =>
    new ManyhandsError(
      'SPEC_INVALID',
      `${field}: expected milliseconds or a text such as '30s', got ${JSON.stringify(value)}`,
      { details: { field } },
    )
  if (typeof value === 'number') {
    if (!Number.isFinite(value) || value < 0) throw fail()
    return Math.round(value)
  }
  const match = /^\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)\s*$/.exec(value)
  if (match === null) throw fail()
  return Math.round(Number(match[1]) * (UNITS[match[2]!] as number))
}

/** A duration for people: `'1m 20s'`. */
export function formatDuration(durationMs: number): string {
  if (durationMs < 1000) return `${Math.round(durationMs)}ms`
  const seconds = Math.round(durationMs / 1000)
  if (seconds < 60) return `${seconds}s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes}m ${seconds % 60}s`
  return `${Math.floor(minutes / 60)}h ${minutes % 60}m`
}
