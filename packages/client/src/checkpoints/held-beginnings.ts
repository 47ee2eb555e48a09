import type { ArtifactStore } from '@manyhands/core'
import { checkpointHolder } from '../held-artifacts.ts'
import type { JobRun } from '../job-run.ts'
import type { LiveAttempt, Task } from '../task.ts'

interface Held {
  job: string
  root: string
  holder: string
}

/** What attempts are about to begin with: held until their hosts have it, whatever is kept of their tasks since. */
export class HeldBeginnings {
  readonly #store: ArtifactStore
  readonly #held = new Map<LiveAttempt, Held>()
  readonly #attemptsOf = new Map<string, Set<LiveAttempt>>()

  constructor(store: ArtifactStore) {
    this.#store = store
  }

  /** A job of which an attempt begins with this. */
  jobOf(root: string): string | undefined {
    const first = this.#attemptsOf.get(root)?.values().next().value
    return first && this.#held.get(first)?.job
  }

  hold(job: JobRun, task: Task, attempt: LiveAttempt): void {
    if (attempt.restore === undefined || this.#held.has(attempt)) return
    const { root } = attempt.restore
    const holder = `${checkpointHolder(job.id, task.key)} ${attempt.id} begins`
    this.#store.retain(root, holder)
    this.#held.set(attempt, { job: job.id, root, holder })
    const attempts = this.#attemptsOf.get(root) ?? new Set()
    this.#attemptsOf.set(root, attempts.add(attempt))
  }

  /** It runs, or never will. */
  async letGo(attempt: LiveAttempt): Promise<void> {
    const held = this.#held.get(attempt)
    if (held === undefined) return
    const { root, holder } = held
    this.#held.delete(attempt)
    const attempts = this.#attemptsOf.get(root)
    attempts?.delete(attempt)
    if (attempts?.size === 0) this.#attemptsOf.delete(root)
    await this.#store.release(root, holder)
  }

  /** Nothing of a job begins any more. */
  async letGoOf(job: JobRun): Promise<void> {
    const attempts = [...this.#held].filter(([, held]) => held.job === job.id)
    for (const [attempt] of attempts) await this.letGo(attempt)
  }
}
