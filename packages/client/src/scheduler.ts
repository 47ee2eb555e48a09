import {
  type AttemptEvent,
  LIMITS,
  type Logger,
  ManyhandsError,
  type Network,
  toManyhandsError,
  type WireAttempt,
} from '@manyhands/core'
import type { ClientJournal } from './client-journal.ts'
import type { HostDirectory } from './host-directory.ts'
import type { HostRecord } from './host-record.ts'
import type { JobRun } from './job-run.ts'
import { judgeError } from './judge-end.ts'
import { chooseHost, mayWork, passingRefusal, standingRefusal } from './placement.ts'
import type { Settlement } from './settlement.ts'
import type { LiveAttempt, Task } from './task.ts'

/** How often leases and stalled jobs are looked at, ms; also when nothing else happens. */
const TICK_MS = 100
/** Hosts that are all busy are asked again after this time, ms. */
const ASK_AGAIN_MS = 1_000
/** An image that nobody has may still be on a host that is only just connecting, ms. */
const NO_IMAGE_GRACE_MS = 1_000

interface Outgoing {
  host: HostRecord
  job: JobRun
  sends: { task: Task; attempt: LiveAttempt }[]
}

export interface SchedulerOptions {
  network: Network
  journal: ClientJournal
  directory: HostDirectory
  settlement: Settlement
  maxInFlight: number
  logger: Logger
}

/**
 * Sends tasks to hosts: at every change, each job in turn gives its waiting tasks to the hosts that
 * have room. What comes back goes to the settlement.
 */
export class Scheduler {
  readonly #options: SchedulerOptions
  readonly #jobs = new Map<string, JobRun>()
  readonly #timer: NodeJS.Timeout
  #poked = false
  #closed = false
  #turn = 0
  #tickAt = performance.now()
  #askedAt = 0

  constructor(options: SchedulerOptions) {
    this.#options = options
    this.#timer = setInterval(() => this.#tick(), TICK_MS)
    this.#timer.unref()
  }

  get jobs(): ReadonlyMap<string, JobRun> {
    return this.#jobs
  }

  add(job: JobRun): void {
    this.#jobs.set(job.id, job)
    job.onReady = () => this.poke()
    job.onBroken = (error) => void this.abort(job, 'failed', error)
    job.fill()
    void job.ended.promise.then(() => {
      this.#jobs.delete(job.id)
      for (const link of this.#options.directory.links()) link.unfollow(job.id)
      this.poke()
    })
  }

  /** Something changed: looks again, once for everything that happens in this turn. */
  poke(): void {
    if (this.#poked || this.#closed) return
    this.#poked = true
    setImmediate(() => {
      this.#poked = false
      if (!this.#closed) this.#pass()
    })
  }

  /** News of an attempt. */
  event(host: string, jobId: string, event: AttemptEvent): void {
    void this.#options.settlement
      .event(host, this.#jobs.get(jobId), event)
      .catch((cause) => {
        this.#options.logger.warn('an attempt event could not be handled', { cause: String(cause) })
      })
      .finally(() => this.poke())
  }

  /** A host was reached again: what it does not hold any more is lost at once. */
  inventory(host: string, ids: ReadonlySet<string>, askedAt: number): void {
    for (const { job, task, attempt } of this.#attemptsAt(host)) {
      const accepted = attempt.acceptedAt !== undefined && attempt.acceptedAt < askedAt
      if (accepted && !ids.has(attempt.id)) this.#options.settlement.lost(job, task, attempt)
    }
    this.poke()
  }

  /**
   * A host renews leases. Answers the ids that are not wanted any more; attempts that it was given and
   * does not name for a whole lease are lost, whatever else it says.
   */
  renewed(host: string, ids: string[]): string[] {
    const now = performance.now()
    const link = this.#options.directory.link(host)
    link.heard()
    const named = new Set(ids)
    const wanted = new Set<string>()
    for (const { job, task, attempt } of this.#attemptsAt(host)) {
      if (attempt.canceled) continue
      if (named.has(attempt.id)) {
        wanted.add(attempt.id)
        attempt.renewedAt = now
        this.#options.settlement.back(job, task, attempt)
      } else if (
        attempt.acceptedAt !== undefined &&
        now - Math.max(attempt.acceptedAt, attempt.renewedAt) > link.leaseMs &&
        !this.#options.settlement.settling(attempt)
      ) {
        this.#options.settlement.lost(job, task, attempt)
      }
    }
    return ids.filter((id) => !wanted.has(id))
  }

  /** The job of an attempt, for the host that holds it and while it is not over. */
  jobOf(host: string, id: string): JobRun | undefined {
    for (const { job, task, attempt } of this.#attemptsAt(host)) {
      if (attempt.id !== id || attempt.canceled || attempt.lost || task.phase !== 'running')
        continue
      return job.over || this.#options.settlement.settling(attempt) ? undefined : job
    }
    return undefined
  }

  /** Takes back what a host said of jobs. */
  forgive(host: string): void {
    for (const job of this.#jobs.values()) job.excluded.delete(host)
  }

  /** Ends a job before its time. Resolves when the hosts were told. */
  async abort(job: JobRun, phase: 'failed' | 'canceled', error: ManyhandsError): Promise<void> {
    const tasks = job.abort(phase, error)
    await this.#options.settlement.cancelAttempts(job, tasks, error.message)
    await job.ended.promise
  }

  close(): void {
    this.#closed = true
    clearInterval(this.#timer)
  }

  #pass(): void {
    const jobs = [...this.#jobs.values()].filter((job) => job.dispatching)
    if (jobs.length === 0) return
    // Each pass begins with another job, so that none waits behind a long one.
    this.#turn += 1
    for (let n = 0; n < jobs.length; n += 1) {
      const job = jobs[(this.#turn + n) % jobs.length]!
      try {
        job.fill()
        if (job.ready.length > 0) this.#place(job)
      } catch (cause) {
        void this.abort(job, 'failed', toManyhandsError(cause))
      }
    }
  }

  #place(job: JobRun): void {
    const candidates = this.#options.directory
      .records()
      .filter((host) => standingRefusal(job, host) === undefined)
    const outgoing = new Map<HostRecord, Outgoing>()
    let inFlight = this.#inFlight()
    let skipped = 0
    while (skipped < job.ready.length && inFlight < this.#options.maxInFlight) {
      const task = job.ready[skipped]!
      const host = chooseHost(job, task, candidates)
      if (host === undefined) {
        // Only a task that avoids some hosts lets the next one try.
        if (!task.choosy) break
        skipped += 1
        continue
      }
      job.take(task)
      const attempt = task.nextAttempt(host.peerId)
      job.meter.dispatched(attempt)
      // Where nothing of ours ran, nothing was renewed: the lease begins now.
      if (host.inFlight.size === 0) this.#options.directory.link(host.peerId).heard()
      job.count(attempt, true)
      host.probed(job.prepared.base.image)
      host.hold(attempt.id, job.prepared.base.resources)
      inFlight += 1
      const entry = outgoing.get(host) ?? { host, job, sends: [] }
      outgoing.set(host, entry)
      entry.sends.push({ task, attempt })
    }
    for (const { host, sends } of outgoing.values()) {
      for (let at = 0; at < sends.length; at += LIMITS.attemptsPerOffer) {
        void this.#send({ host, job, sends: sends.slice(at, at + LIMITS.attemptsPerOffer) })
      }
    }
    const stalled = !candidates.some(mayWork) && job.running.size === 0
    job.stalledSince = stalled ? (job.stalledSince ?? performance.now()) : undefined
    if (job.ready.length > 0) this.#askBusy(candidates)
  }

  async #send({ host, job, sends }: Outgoing): Promise<void> {
    const { directory, journal, settlement } = this.#options
    const link = directory.link(host.peerId)
    try {
      // The epoch is durable before the offer leaves.
      await journal.dispatched(
        job.id,
        sends.map(({ task }) => ({ key: task.key, epoch: task.epoch })),
      )
      link.follow(job.id)
      const wanted = sends.filter(({ attempt }) => !attempt.canceled)
      if (wanted.length === 0) return
      const answer = await link.offer(
        { id: job.id, name: job.prepared.name },
        job.prepared.base,
        wanted.map(({ task, attempt }) => wireAttempt(task, attempt)),
      )
      const byId = new Map(wanted.map((send) => [send.attempt.id, send]))
      for (const { id, accepted, error } of answer.answers) {
        const send = byId.get(id)
        if (send === undefined) continue
        byId.delete(id)
        host.answered(id)
        if (accepted) {
          send.attempt.acceptedAt = performance.now()
          send.task.dispatches += 1
          host.accepted()
          this.#tellAttempt(job, send.task, send.attempt, 'offered')
        } else {
          const refusal = ManyhandsError.fromJSON(
            error ?? { code: 'HOST_REFUSED', message: 'refused' },
          )
          settlement.refused(job, send.task, send.attempt, refusal, judgeError(refusal.code))
        }
      }
      const silent = new ManyhandsError(
        'HOST_FAILED',
        `host ${host.peerId} did not answer an offer`,
      )
      for (const { task, attempt } of byId.values()) {
        settlement.refused(job, task, attempt, silent, 'move')
      }
      if (answer.offer.peerId === host.peerId) directory.offered(answer.offer)
    } catch (cause) {
      const error = toManyhandsError(cause, 'PEER_GONE')
      for (const { task, attempt } of sends) {
        if (attempt.acceptedAt === undefined) settlement.refused(job, task, attempt, error, 'move')
      }
      if (!this.#options.network.isConnected(host.peerId)) directory.unreachable(host.peerId)
    } finally {
      this.poke()
    }
  }

  #tellAttempt(job: JobRun, task: Task, attempt: LiveAttempt, phase: 'offered'): void {
    job.tell({
      kind: 'attempt',
      task: task.key,
      attempt: attempt.id,
      host: attempt.host,
      phase,
    })
  }

  #tick(): void {
    const now = performance.now()
    const late = now - this.#tickAt - TICK_MS
    this.#tickAt = now
    this.#options.directory.keep()
    this.#options.directory.watchLeases(late, (host) => {
      for (const { job, task, attempt } of this.#attemptsAt(host)) {
        this.#options.settlement.lost(job, task, attempt)
      }
      this.poke()
    })
    for (const job of this.#jobs.values()) {
      if (job.dispatching && job.stalledSince !== undefined) this.#giveUpStalled(job, now)
      if (job.dispatching && job.ready.length > 0) this.poke()
    }
  }

  /** A job for which no host fits waits as long as it was told to; an image that nobody has is told soon. */
  #giveUpStalled(job: JobRun, now: number): void {
    const waitedMs = now - job.stalledSince!
    const noImage = [...job.excluded.values()].find(({ code }) => code === 'IMAGE_NOT_FOUND')
    if (noImage !== undefined && waitedMs > NO_IMAGE_GRACE_MS) {
      void this.abort(job, 'failed', ManyhandsError.fromJSON(noImage))
      return
    }
    if (job.prepared.waitMs === undefined || waitedMs <= job.prepared.waitMs) return
    void this.abort(job, 'failed', this.#noHosts(job))
  }

  #noHosts(job: JobRun): ManyhandsError {
    const seen = this.#options.directory.records()
    const reasons = seen
      .slice(0, 5)
      .map(
        (host) =>
          `${host.peerId.slice(-8)}: ${standingRefusal(job, host) ?? passingRefusal(job, host) ?? 'not connected'}`,
      )
    return new ManyhandsError(
      'NO_HOSTS',
      seen.length === 0
        ? 'no host was found'
        : `none of the ${seen.length} hosts seen takes this job (${reasons.join('; ')})`,
      { details: { seen: seen.length } },
    )
  }

  /** When only busy hosts are left, their word may be old: somebody else's work may have ended. */
  #askBusy(candidates: HostRecord[]): void {
    const now = performance.now()
    if (now - this.#askedAt < ASK_AGAIN_MS) return
    this.#askedAt = now
    for (const host of candidates) {
      if (host.inFlight.size > 0 || !host.present) continue
      void this.#options.network
        .call(host.peerId, 'offer.get', {})
        .then(({ offer }) => {
          if (offer.peerId === host.peerId) this.#options.directory.offered(offer)
        })
        .catch(() => {
          // A host that is gone is noticed by its connection.
        })
    }
  }

  *#attemptsAt(host: string): Generator<{ job: JobRun; task: Task; attempt: LiveAttempt }> {
    for (const job of this.#jobs.values()) {
      for (const task of [...job.sent.values()]) {
        for (const attempt of task.attempts.values()) {
          if (attempt.host === host) yield { job, task, attempt }
        }
      }
    }
  }

  #inFlight(): number {
    let count = 0
    for (const host of this.#options.directory.records()) count += host.inFlight.size
    return count
  }
}

function wireAttempt(task: Task, attempt: LiveAttempt): WireAttempt {
  return {
    id: attempt.id,
    task: task.key,
    epoch: Number(attempt.id.slice(attempt.id.lastIndexOf('.') + 1)),
    ...task.overrides,
  }
}
