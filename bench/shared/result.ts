import { loadavg } from 'node:os'

/** One measured promise. The ratio is against something in the same run, since machines are noisy. */
export interface BenchResult {
  name: string
  promise: string
  value: number
  unit: string
  rounds?: number[]
  /** What the ratio is against, and its value in the same unit. */
  against: string
  peer: number | null
  ratio: number | null
  kept: boolean
  [more: string]: unknown
}

export function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** The value that a share of all values does not exceed, nearest rank. */
export function percentile(values: number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(sorted.length * share) - 1))]!
}

const round = (value: unknown): unknown => {
  if (typeof value === 'number') return Number(value.toPrecision(4))
  if (Array.isArray(value)) return value.map(round)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, round(each)]))
}

/**
 * One JSON document on one line of stdout; `load` is the machine's over the last minute, so that one
 * sees later whether it was quiet: more than what the benchmark itself needs was somebody else's.
 */
export function printResult(result: BenchResult): void {
  const rounded = Object.fromEntries(
    Object.entries({ ...result, load: loadavg()[0] }).map(([key, value]) => [key, round(value)]),
  )
  process.stdout.write(`${JSON.stringify(rounded)}\n`)
}
