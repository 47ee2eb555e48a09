import type { Clock } from '@manyhands/core'
import type { FoundAttempt } from './adopted-inputs.ts'
import { AttemptIndex, type SentAttempt } from './attempt-index.ts'
import type { Checkpoints } from './checkpoints/checkpoints.ts'
import { journaled } from './dispatcher.ts'
import type { HostDirectory } from './host-directory.ts'
import type { JobRun } from './job-run.ts'
import type { ClientJournal } from './journal/client-journal.ts'
import type { Settlement } from './settlement.ts'
import type { Task } from './task.ts'

export interface AttemptLeasesOptions {
  directory: HostDirectory
  settlement: Settlement
  checkpoints: Checkpoints
  journal: ClientJournal
  clock: Clock
  /** Attempts may have been lost, or be back. */
  changed(): void
}

/** The attempts that are out, by what their hosts say of them: what a host does not hold, or renew, is lost. */
export class AttemptLeases {
  readonly #options: AttemptLeasesOptions
  readonly #attempts = new AttemptIndex()
  /** How often attempts are expected, by host; of any host under undefined. */
  readonly #expecting = new Map<string | undefined, number>()

  constructor(options: AttemptLeasesOptions) {
    this.#options = options
  }

  /** It is at its host, or on its way there. */
  add(sent: SentAttempt): void {
    this.#attempts.add(sent)
  }

  /** What an earlier process sent out of a job is where it was sent: nothing of it is asked yet. */
  restore(job: JobRun): void {
    for (const task of job.tasks.sent.values()) this.#restore(job, task)
  }

  /** The hosts that have attempts of a job are asked what became of them. */
  follow(job: JobRun): void {
    for (const { attempts } of job.tasks.sent.values()) {
      for (const { host } of attempts.values()) {
        this.#options.directory.link(host).follow(job.id, { before: true })
      }
    }
  }

  /**
   * A host has attempts of a job that another client began. Resolves when it is durable that they are out.
   *
   * @param adopting - called with each, before anything can come of it
   */
  async adopt(
    job: JobRun,
    host: string,
    found: readonly FoundAttempt[],
    adopting: (found: FoundAttempt) => void,
  ): Promise<void> {
    const { directory, journal } = this.#options
    const adopted = await job.tasks.adopt(host, found, adopting)
    for (const { task, attempt } of adopted) {
      this.add({ job, task, attempt })
      directory.record(host)?.holds(attempt.id, job.document.base.resources)
    }
    if (job.phase === 'queued' && adopted.length > 0) job.setPhase('running')
    await journal.transact(() => journal.tasks.dispatched(job.id, adopted.map(journaled)))
    if (job.attached || adopted.length > 0) directory.link(host).follow(job.id, { before: true })
  }

  /**
   * Attempts of others are about to be this client's, at a host or at any: none that it names is unwanted
   * until the answer is called.
   */
  expect(host?: string): () => void {
    const add = (count: number) => {
      const now = (this.#expecting.get(host) ?? 0) + count
      if (now > 0) this.#expecting.set(host, now)
      else this.#expecting.delete(host)
    }
    add(1)
    return () => add(-1)
  }

  /** Whether attempts of others at a host are about to be this client's. */
  expects(host: string): boolean {
    return this.#expecting.has(host) || this.#expecting.has(undefined)
  }

  /** A host is here, maybe again: what is there of ours counts. */
  found(host: string): void {
    const record = this.#options.directory.record(host)
    for (const { job, attempt } of this.#attempts.at(host)) {
      if (attempt.lost || attempt.canceled || record?.inFlight.has(attempt.id)) continue
      record?.holds(attempt.id, job.document.base.resources)
    }
  }

  /** The lease of a host has ended. */
  ended(host: string): void {
    for (const { job, task, attempt } of this.#attempts.at(host)) {
      if (attempt.acceptedAt === undefined) continue
      this.#options.settlement.setbacks.lost(job, task, attempt)
    }
    this.#options.changed()
  }

  /** A host may not work for us any more: what is there is lost, whoever's fault that is. */
  expelled(host: string, reason: string): void {
    for (const { job, task, attempt } of this.#attempts.at(host)) {
      this.#options.settlement.setbacks.expelled(job, task, attempt, reason)
    }
    this.#options.changed()
  }

  /** A host was reached again: what it does not hold any more is lost at once. */
  inventory(host: string, ids: ReadonlySet<string>, askedAt: number): void {
    for (const { job, task, attempt } of this.#attempts.at(host)) {
      const accepted = attempt.acceptedAt !== undefined && attempt.acceptedAt < askedAt
      if (accepted && !ids.has(attempt.id))
        this.#options.settlement.setbacks.lost(job, task, attempt)
    }
    this.#options.changed()
  }

  /**
   * A host renews leases. Answers the ids that are not wanted any more; attempts that it was given and
   * does not name for a whole lease are lost, whatever else it says.
   */
  renewed(host: string, ids: string[]): string[] {
    const now = this.#options.clock.now()
    const link = this.#options.directory.link(host)
    link.heard()
    const named = new Set(ids)
    const wanted = new Set<string>()
    for (const { job, task, attempt } of this.#attempts.at(host)) {
      if (attempt.canceled) continue
      if (named.has(attempt.id)) {
        wanted.add(attempt.id)
        this.#options.settlement.setbacks.alive(task, attempt)
        attempt.renewedAt = now
        this.#options.settlement.back(job, task, attempt)
      } else if (
        attempt.acceptedAt !== undefined &&
        now - Math.max(attempt.acceptedAt, attempt.renewedAt) > link.leaseMs &&
        !this.#options.settlement.settling(attempt)
      ) {
        this.#options.settlement.setbacks.lost(job, task, attempt)
      }
    }
    if (this.expects(host)) return []
    return ids.filter((id) => !wanted.has(id))
  }

  /** The job of an attempt, for the host that holds it and while it is not over. */
  jobOf(host: string, id: string): JobRun | undefined {
    const sent = this.#attempts.get(host, id)
    if (sent === undefined) return undefined
    const { job, task, attempt } = sent
    if (attempt.canceled || attempt.lost || task.phase !== 'running') return undefined
    return job.over || this.#options.settlement.settling(attempt) ? undefined : job
  }

  /** A task that an earlier process sent out. */
  #restore(job: JobRun, task: Task): void {
    const { directory, journal } = this.#options
    for (const attempt of task.attempts.values()) {
      this.add({ job, task, attempt })
      directory.expect(attempt.host, journal.hosts.get(attempt.host)?.addresses ?? [])
      if (attempt.lost) continue
      this.#options.checkpoints.restored(job, task, attempt)
      directory.record(attempt.host)?.holds(attempt.id, job.document.base.resources)
    }
    // Between two attempts of it, or before the first one had left.
    if (task.running.length === 0) job.tasks.requeue(task)
  }
}
