import { LIMITS } from '@manyhands/core'

export interface KeptEndsOptions {
  /** Whether somebody may have the owner key of a job, which is not over. */
  isShared(job: string): boolean
  /** A host may forget an end. */
  acknowledge(host: string, attempt: string): void
}

/**
 * Ends that this client has durably, and that their hosts keep all the same: somebody may have the owner key
 * of their job, and this computer may be gone for good. Of each host the latest, until the job is over.
 */
export class KeptEnds {
  readonly #options: KeptEndsOptions
  /** Jobs by attempt, by host; the oldest first. */
  readonly #kept = new Map<string, Map<string, string>>()

  constructor(options: KeptEndsOptions) {
    this.#options = options
  }

  /** Returns false for an end that its host may forget. */
  keep(job: string, host: string, attempt: string): boolean {
    if (!this.#options.isShared(job)) return false
    const there = this.#kept.get(host) ?? new Map<string, string>()
    this.#kept.set(host, there)
    there.set(attempt, job)
    if (there.size > LIMITS.endsKeptPerHost) this.#letGo(host, there, there.keys().next().value!)
    return true
  }

  /** The job is over. */
  release(job: string): void {
    for (const [host, there] of this.#kept) {
      for (const [attempt, its] of there) if (its === job) this.#letGo(host, there, attempt)
    }
  }

  /** A host has no room for what waits. */
  releaseAt(host: string): void {
    const there = this.#kept.get(host) ?? new Map<string, string>()
    for (const attempt of there.keys()) this.#letGo(host, there, attempt)
  }

  #letGo(host: string, there: Map<string, string>, attempt: string): void {
    there.delete(attempt)
    if (there.size === 0) this.#kept.delete(host)
    this.#options.acknowledge(host, attempt)
  }
}
