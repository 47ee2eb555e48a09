/** What a comparator says of two results of one task. */
export interface Comparison {
  equal: boolean
  /**
   * How far apart they are, as far as that is known: 0 for the same. Of results that all are equal, the one
   * nearest to the others is the one that counts. The unit is the comparator's.
   */
  distance: number
  /** What is different, for people. */
  why?: string
}

export const SAME: Comparison = { equal: true, distance: 0 }

export function different(why: string): Comparison {
  return { equal: false, distance: Number.POSITIVE_INFINITY, why }
}

/** The worst of several comparisons of parts of two results. */
export function worst(parts: Comparison[]): Comparison {
  const failed = parts.find(({ equal }) => !equal)
  if (failed !== undefined) return failed
  return { equal: true, distance: Math.max(0, ...parts.map(({ distance }) => distance)) }
}

/** Whether two numbers are within a tolerance. What is no finite number equals only itself. */
export function near(a: number, b: number, absolute: number, relative: number): boolean {
  if (Object.is(a, b) || a === b) return true
  if (!Number.isFinite(a) || !Number.isFinite(b)) return false
  return Math.abs(a - b) <= absolute + relative * Math.max(Math.abs(a), Math.abs(b))
}
