import type { Attempt } from './attempt.ts'

/** The attempts that this host keeps: those that are not over, and ends that were not acknowledged. */
export class AttemptRegistry {
  readonly #attempts = new Map<string, Attempt>()
  readonly #live = new Set<Attempt>()

  get(id: string): Attempt | undefined {
    return this.#attempts.get(id)
  }

  all(): IteratorObject<Attempt> {
    return this.#attempts.values()
  }

  add(attempt: Attempt): void {
    this.#attempts.set(attempt.id, attempt)
    if (!attempt.over) this.#live.add(attempt)
  }

  /** It is over, and kept until it is acknowledged. */
  ended(attempt: Attempt): void {
    this.#live.delete(attempt)
  }

  /** Returns false when it was gone before. */
  remove(attempt: Attempt): boolean {
    this.#live.delete(attempt)
    return this.#attempts.delete(attempt.id)
  }

  /** Attempts that are not over. */
  live(): Attempt[] {
    return [...this.#live]
  }

  get liveCount(): number {
    return this.#live.size
  }

  ofClient(client: string): Attempt[] {
    return this.all()
      .filter((attempt) => attempt.client === client)
      .toArray()
  }

  /** Those of the ids that exist and belong to the client: a peer speaks only of its own. */
  ownedBy(client: string, ids: string[]): Attempt[] {
    return ids
      .map((id) => this.#attempts.get(id))
      .filter((attempt) => attempt !== undefined && attempt.client === client) as Attempt[]
  }

  /** Resolves when nothing runs and nothing is being cleaned up any more. */
  async idle(): Promise<void> {
    await Promise.all(this.all().map((attempt) => attempt.done.promise))
  }
}
