import type { JobRun } from './job-run.ts'
import type { LiveAttempt, Task } from './task.ts'

/** An attempt with what it belongs to. */
export interface SentAttempt {
  job: JobRun
  task: Task
  attempt: LiveAttempt
}

/** So many of a host are kept without a look. */
const FEW = 1024

/**
 * Which attempts are at which host, of all jobs. What is settled meanwhile leaves when it is next looked at,
 * at the latest when it is as many as what is not.
 */
export class AttemptIndex {
  readonly #byHost = new Map<string, Map<string, SentAttempt>>()
  /** At how many of a host it is looked which of them are settled. */
  readonly #lookAt = new Map<string, number>()

  add(sent: SentAttempt): void {
    const { host, id } = sent.attempt
    const there = this.#byHost.get(host) ?? new Map<string, SentAttempt>()
    this.#byHost.set(host, there)
    there.set(id, sent)
    // Nobody asks for those of a host whose attempts end at once: a million of them would be here.
    if (there.size <= (this.#lookAt.get(host) ?? FEW)) return
    const { length } = this.at(host)
    this.#lookAt.set(host, Math.max(FEW, 2 * length))
  }

  get(host: string, id: string): SentAttempt | undefined {
    const sent = this.#byHost.get(host)?.get(id)
    return sent !== undefined && isOpen(sent) ? sent : undefined
  }

  /** Attempts at a host whose tasks are not over. */
  at(host: string): SentAttempt[] {
    const there = this.#byHost.get(host)
    if (there === undefined) return []
    const open: SentAttempt[] = []
    for (const [id, sent] of there) {
      if (isOpen(sent)) open.push(sent)
      else there.delete(id)
    }
    if (there.size === 0) this.#byHost.delete(host)
    return open
  }
}

function isOpen({ job, task, attempt }: SentAttempt): boolean {
  return job.sent(task.fingerprint) === task && task.attempts.has(attempt.id)
}
