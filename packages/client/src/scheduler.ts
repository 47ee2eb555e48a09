import {
  type AttemptEvent,
  type Logger,
  type ManyhandsError,
  toManyhandsError,
} from '@manyhands/core'
import { AttemptLeases, type AttemptLeasesOptions } from './attempt-leases.ts'
import { Dispatcher } from './dispatcher.ts'
import { FairTurns, type Lane } from './fair-turns.ts'
import { wantedHosts } from './host-wishes.ts'
import type { HeldAttempt } from './job-news.ts'
import type { JobRun } from './job-run.ts'
import { JobStalls, type JobStallsOptions } from './job-stalls.ts'

/** How often leases and stalled jobs are looked at, ms; also when nothing else happens. */
const TICK_MS = 100

export interface SchedulerOptions extends Omit<AttemptLeasesOptions, 'changed'>, JobStallsOptions {
  maxInFlight: number
  /** A job is over that these hosts worked for. */
  over(hosts: Iterable<string>): void
  logger: Logger
}

/**
 * Sends tasks to hosts: at every change, the jobs in turn give their waiting tasks to the hosts that
 * have room. What comes back goes to the settlement.
 */
export class Scheduler {
  readonly leases: AttemptLeases
  readonly #options: SchedulerOptions
  readonly #jobs = new Map<string, JobRun>()
  readonly #dispatcher: Dispatcher
  readonly #stalls: JobStalls
  readonly #stop: () => void
  #poked = false
  #closed = false
  #tickAt: number

  constructor(options: SchedulerOptions) {
    this.#options = options
    const { clock } = options
    this.#dispatcher = new Dispatcher({
      ...options,
      setbacks: options.settlement.setbacks,
      now: clock.now,
    })
    this.leases = new AttemptLeases({ ...options, changed: () => this.poke() })
    this.#stalls = new JobStalls(options)
    this.#tickAt = clock.now()
    this.#stop = clock.every(TICK_MS, () => this.#tick())
  }

  get jobs(): ReadonlyMap<string, JobRun> {
    return this.#jobs
  }

  add(job: JobRun): void {
    this.#jobs.set(job.id, job)
    // One that is tried again has waited for nobody yet.
    job.stalledSince = undefined
    job.onReady = () => this.poke()
    const { checkpoints } = this.#options
    if (job.checking !== undefined) {
      job.checking.homeOf = (task) => checkpoints.homeOf(job, task)
    }
    job.leftOff = checkpoints.leftOff(job)
    job.onOutrun = (tasks) => {
      for (const task of tasks) if (task.checks) checkpoints.over(job, task)
      void this.#options.settlement.cancelAttempts(job, tasks, 'it is not needed any more')
    }
    job.checking?.begin()
    this.leases.restore(job)
    if (job.attached) this.attach(job)
    void job.ended.promise.then(() => {
      this.remove(job)
      this.#options.kept.release(job.id)
      this.#options.over(job.meter.hosts)
    })
    this.poke()
  }

  /** Somebody wants to know of a job that an earlier process submitted: its hosts are asked. */
  attach(job: JobRun): void {
    this.leases.follow(job)
    this.poke()
  }

  /** A job of which this process does nothing more. */
  remove(job: JobRun): void {
    this.#jobs.delete(job.id)
    for (const link of this.#options.directory.links()) link.unfollow(job.id)
    this.poke()
  }

  /** Something changed: looks again, once for everything that happens in this turn. */
  poke(): void {
    if (this.#poked || this.#closed) return
    this.#poked = true
    this.#options.clock.soon(() => {
      this.#poked = false
      if (!this.#closed) this.#pass()
    })
  }

  /** A host is here, maybe again: what it said before is forgotten, and what is there of ours counted. */
  found(host: string): void {
    for (const job of this.#jobs.values()) job.excluded.delete(host)
    this.leases.found(host)
    this.poke()
  }

  /** A host was reached again, and says what it holds. What nobody wants any more it may forget. */
  inventory(host: string, attempts: HeldAttempt[], askedAt: number): void {
    this.leases.inventory(host, new Set(attempts.map(({ id }) => id)), askedAt)
    if (this.leases.expects(host)) return
    const left = attempts.filter(
      ({ id, job }) => !this.#jobs.has(job) && !this.#options.held.has(id),
    )
    const ids = left.map(({ id }) => id)
    void this.#options.directory.link(host).cancel(ids, 'its job is over')
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

  /** Ends what runs of a job, whose tasks wait again. Resolves when the hosts were told and it is durable. */
  async standDown(job: JobRun, reason: string): Promise<void> {
    const { running } = job
    await this.#options.checkpoints.last(job, running)
    const canceled = this.#options.settlement.cancelAttempts(job, running, reason)
    await Promise.all([canceled, job.standDown()])
  }

  /** Ends a job before its time. Resolves when the hosts were told. */
  async abort(job: JobRun, phase: 'failed' | 'canceled', error: ManyhandsError): Promise<void> {
    const tasks = job.ending.abort(phase, error)
    await this.#options.settlement.cancelAttempts(job, tasks, error.message)
    await Promise.race([job.ended.promise, job.left.promise])
  }

  close(): void {
    this.#closed = true
    this.#stop()
  }

  #pass(): void {
    const turns = new FairTurns(this.#options.directory)
    for (const job of this.#jobs.values()) {
      this.#guarded(job, () => {
        this.#fill(job)
        if (job.dispatching && hasWork(job)) turns.join(job)
      })
    }
    let room = this.#options.maxInFlight - this.#inFlight()
    while (room > 0) {
      const lane = turns.next()
      if (lane === undefined) break
      if (this.#guarded(lane.job, () => this.#place(lane))) room -= 1
      else turns.leave(lane)
    }
    for (const lane of turns.lanes) {
      for (const outgoing of lane.outgoing.values()) {
        void this.#dispatcher.send(outgoing).finally(() => this.poke())
      }
      this.#options.directory.want(wantedHosts(lane))
      this.#stalls.look(lane, this.#jobs)
    }
  }

  /** One task of the lane's job goes to a host; false when none of them can now. */
  #place(lane: Lane): boolean {
    const { clock, directory } = this.#options
    const suspect = (peer: string) => directory.record(peer)?.suspect ?? true
    const choice = lane.choose({
      now: clock.now(),
      suspect,
      takenBytes: (of) => this.#options.held.takenBytes(lane.job, of),
    })
    if (choice === undefined) return false
    const { task, host, again } = choice
    const { job } = lane
    if (!again) job.take(task)
    if (task.chunk !== undefined) job.tasks.cutting?.moved(task, host.peerId)
    const attempt = task.nextAttempt(host.peerId)
    this.leases.add({ job, task, attempt })
    job.meter.dispatched(attempt)
    // Where nothing of ours ran, nothing was renewed: the lease begins now.
    if (host.inFlight.size === 0) this.#options.directory.link(host.peerId).heard()
    job.tasks.count(attempt, true)
    host.probed(job.document.base.image)
    host.hold(attempt.id, job.document.base.resources)
    lane.sends(host, { task, attempt })
    return true
  }

  /** What a caller's function throws ends its job, and nothing else. */
  #guarded(job: JobRun, work: () => boolean | undefined | void): boolean {
    try {
      return work() === true
    } catch (cause) {
      this.#give(job, cause)
      return false
    }
  }

  #fill(job: JobRun): void {
    job.fill().catch((cause) => this.#give(job, cause))
  }

  #give(job: JobRun, cause: unknown): void {
    this.#fail(job, toManyhandsError(cause))
  }

  /** Nobody waits for it: who follows the job is told by the job. */
  #fail(job: JobRun, error: ManyhandsError): void {
    this.abort(job, 'failed', error).catch((cause) => {
      this.#options.logger.debug('a job could not be ended', { job: job.id, cause: String(cause) })
    })
  }

  #tick(): void {
    const now = this.#options.clock.now()
    const late = now - this.#tickAt - TICK_MS
    this.#tickAt = now
    this.#options.directory.keep()
    const busy = this.#jobs.size > 0
    this.#options.directory.watchLeases(late, busy, (host) => this.leases.ended(host))
    for (const job of this.#jobs.values()) {
      this.#guarded(job, () => {
        const error = job.dispatching ? this.#stalls.hopeless(job, now) : undefined
        if (error !== undefined) this.#fail(job, error)
      })
      if (job.dispatching && hasWork(job)) this.poke()
    }
  }

  #inFlight(): number {
    let count = 0
    for (const host of this.#options.directory.records()) count += host.inFlight.size
    return count
  }
}

/** Whether something of it can be sent out, or is out and may be late. */
function hasWork({ tasks, document, checking }: JobRun): boolean {
  if (tasks.ready.length > 0 || (checking?.replicas.ready.length ?? 0) > 0) return true
  if ((checking?.replicas.running.size ?? 0) > 0) return true
  const maybeLate = tasks.cutting !== undefined || document.speculateAfter !== undefined
  return maybeLate && (tasks.running.size > 0 || (tasks.cutting?.waiting ?? 0) > 0)
}
