/** Numbers of 0 to 1, the same for the same seed. */
export interface SeededRandom {
  (): number
  /** Whether something happens that has this probability; no number is drawn for 0 and 1. */
  chance(probability: number): boolean
  /** How long until something happens that happens once in so long on average. */
  wait(mean: number): number
  /** Other numbers, by a name: what one part draws changes nothing for another. */
  of(name: string): SeededRandom
}

/** mulberry32: short, even, and good enough to play with. It keeps no secret. */
export function seededRandom(seed: number): SeededRandom {
  let state = seed >>> 0
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  return Object.assign(next, {
    chance: (probability: number) => {
      if (probability <= 0) return false
      return probability >= 1 || next() < probability
    },
    wait: (mean: number) => -Math.log(1 - next()) * mean,
    of: (name: string) => seededRandom(seed ^ hashed(name)),
  })
}

/** FNV-1a. */
function hashed(text: string): number {
  let hash = 0x811c9dc5
  for (let at = 0; at < text.length; at += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  }
  return hash >>> 0
}
