import { type Clock, toManyhandsError } from '@manyhands/core'
import type { Revised } from '../journal/revision-rows.ts'
import type { Decision, ResultRevision } from './result-revision.ts'

/** How long a full disk of ours is waited for, ms. */
const WAIT_MS = 10_000

export interface DurableDecisionsParts {
  revision: ResultRevision
  clock: Clock
  /** One is durable, or given up. */
  settled(): void
}

/** What was decided of results that were accepted, until it is durable. */
export class DurableDecisions {
  readonly #parts: DurableDecisionsParts
  readonly #deciding = new Set<Promise<void>>()
  /** Tasks whose results they change. */
  readonly #changing = new Set<string>()

  constructor(parts: DurableDecisionsParts) {
    this.#parts = parts
  }

  /** Whether there are some that are not durable yet. */
  get pending(): boolean {
    return this.#deciding.size > 0
  }

  /** Whether one that is not durable yet changes the result of a task. */
  changes(key: string): boolean {
    return this.#changing.has(key)
  }

  /** Resolves when all are durable. */
  async idle(): Promise<void> {
    while (this.#deciding.size > 0) await Promise.all(this.#deciding)
  }

  /**
   * @param changing - tasks whose results nobody is to see until it is durable; with none, nothing is decided
   * @param then - called when it is durable
   */
  decide(
    decision: Decision,
    changing: string[],
    then: (revised: Revised) => void = () => {},
  ): void {
    if (changing.length === 0) return
    for (const key of changing) this.#changing.add(key)
    const deciding = this.#durably(decision)
      .then((revised) => {
        for (const key of changing) this.#changing.delete(key)
        then(revised)
      })
      // The client is being closed: what the journal has goes on in the next process.
      .catch(() => {})
      .finally(() => {
        this.#deciding.delete(deciding)
        this.#parts.settled()
      })
    this.#deciding.add(deciding)
  }

  /** A full disk of ours is waited for. */
  async #durably(decision: Decision): Promise<Revised> {
    const { revision, clock } = this.#parts
    for (;;) {
      try {
        return await revision.apply(decision)
      } catch (cause) {
        if (toManyhandsError(cause).code !== 'DISK_FULL') throw cause
        await clock.delay(WAIT_MS)
      }
    }
  }
}
