import type { HostOrigin } from '../../packages/client/src/verify/independence.ts'
import { seededRandom } from './seeded-random.ts'

/** What a host does with the work that it is given. */
export type Conduct =
  | { kind: 'honest' }
  /** Makes up a result with this probability, from its n-th execution on. */
  | { kind: 'cheats'; share: number; from?: number }
  /** Makes up the same result as the others of its ring, for the same tasks. */
  | { kind: 'colludes'; share: number; ring: string }

export const TRUE_VALUE = 'true'

/** Gives results; every host is in another /24 and was invited by nobody. */
export class SimulatedHost {
  readonly origin: HostOrigin
  readonly #conduct: Conduct
  readonly #random: () => number
  readonly #seed: number
  #executions = 0

  constructor(index: number, conduct: Conduct, seed: number) {
    this.origin = { peer: `host-${index}`, addresses: [`10.${index >> 8}.${index & 255}.1`] }
    this.#conduct = conduct
    this.#seed = seed
    this.#random = seededRandom(seed * 7919 + index)
  }

  get peer(): string {
    return this.origin.peer
  }

  /** It cannot tell whether it is the first that is asked for a task. */
  execute(task: string): string {
    this.#executions += 1
    const conduct = this.#conduct
    if (conduct.kind === 'honest') return TRUE_VALUE
    if (conduct.kind === 'colludes') {
      // By the task alone: the others of the ring decide the same without a word.
      const wrong = seededRandom(this.#seed * 104_729 + Number(task))() < conduct.share
      return wrong ? `made up by ring ${conduct.ring}` : TRUE_VALUE
    }
    if (this.#executions <= (conduct.from ?? 0)) return TRUE_VALUE
    return this.#random() < conduct.share ? `made up by ${this.peer}` : TRUE_VALUE
  }
}
