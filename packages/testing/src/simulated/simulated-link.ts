import type { SeededRandom } from './seeded-random.ts'

export interface LinkConditions {
  latencyMs: number
  jitterMs: number
  bytesPerMs: number
  loss: number
}

/** A message that got lost is sent again after this time and a way there and back, ms. */
const AGAIN_MS = 200

/** One peer's access to the network: what it sends goes one after the other, as wide as it is. */
export class SimulatedLink {
  conditions: LinkConditions
  #sentBy = 0

  constructor(conditions: LinkConditions) {
    this.conditions = conditions
  }

  /** When so many bytes have left that are given to it now. */
  sends(bytes: number, now: number): number {
    this.#sentBy = Math.max(this.#sentBy, now) + bytes / this.conditions.bytesPerMs
    return this.#sentBy
  }
}

/** How long a message is on its way between two peers, whatever its size: the worse of both decides. */
export function wayMs(a: LinkConditions, b: LinkConditions, random: SeededRandom): number {
  const latencyMs = Math.max(a.latencyMs, b.latencyMs)
  const jitterMs = Math.max(a.jitterMs, b.jitterMs)
  let way = latencyMs + (jitterMs === 0 ? 0 : random() * jitterMs)
  const loss = Math.max(a.loss, b.loss)
  while (random.chance(loss)) way += AGAIN_MS + 2 * latencyMs
  return way
}
