import type { Outgoing, Send } from './dispatcher.ts'
import type { HostDirectory } from './host-directory.ts'
import type { HostRecord } from './host-record.ts'
import type { ScoreContext } from './host-score.ts'
import type { JobRun } from './job-run.ts'
import {
  chooseHost,
  homeOf,
  isProven,
  mayWork,
  openHosts,
  passingRefusal,
  slotsOf,
  standingRefusal,
} from './placement.ts'
import { type Lookout, lateChecks, lateTasks, straggler } from './straggler.ts'
import type { Task } from './task.ts'

/** Checks that wait and are looked at in one pass: there may be many that nobody can take now. */
const LOOKED_AT = 256

/** A task and where it goes. */
export interface Choice {
  task: Task
  host: HostRecord
  /** It is out already, and late. */
  again?: boolean
}

/** One job in one pass of the scheduler. */
export class Lane {
  readonly job: JobRun
  /** Hosts that may ever get tasks of this job. */
  readonly candidates: HostRecord[]
  /** What is to be sent, by host. */
  readonly outgoing = new Map<HostRecord, Outgoing>()
  /** Processors that its tasks hold now, over all hosts. */
  load: number
  #late: Task[] | undefined
  #lateChecks: Task[] | undefined
  /** Tasks that no host suits now are passed over. */
  #passed = 0
  #checksPassed = 0

  constructor(job: JobRun, hosts: HostRecord[]) {
    this.job = job
    this.candidates = hosts.filter((host) => standingRefusal(job, host) === undefined)
    let attempts = 0
    for (const count of job.tasks.attemptsAt.values()) attempts += count
    this.load = attempts * this.#weight
  }

  /** The next task that a host can take, and that host; undefined when none can. */
  choose(lookout: Lookout & ScoreContext): Choice | undefined {
    const check = this.#check(lookout)
    if (check !== undefined) return check
    const { ready } = this.job.tasks
    for (; this.#passed < ready.length; this.#passed += 1) {
      const task = ready[this.#passed]!
      const host = chooseHost(this.job, task, this.candidates, lookout)
      if (host !== undefined) return { task, host }
      // Only a task that avoids some hosts, or waits for one, lets the next one try.
      const waits = homeOf(this.job, task, this.candidates) !== undefined
      if (!task.choosy && !waits) return undefined
    }
    return this.#cut() ?? this.#again(lookout)
  }

  /** Whether there is something to do that nobody who is there may do, as long as nothing is decided. */
  get isUnvouched(): boolean {
    const { tasks, checking } = this.job
    if (checking === undefined) return false
    const working = this.candidates.filter(mayWork)
    const { ready } = checking.replicas
    const waiting = tasks.ready.length > 0
    if (waiting && working.some((host) => isProven(this.job, host))) return false
    if (!waiting && ready.length === 0) return false
    return !ready
      .slice(0, LOOKED_AT)
      .some((task) => working.some(({ peerId }) => checking.mayJudge(task, peerId)))
  }

  /** What is known of a host decides how much of its work has to be checked: that comes first. */
  #check(lookout: Lookout & ScoreContext): Choice | undefined {
    const { checking } = this.job
    if (checking === undefined) return undefined
    const { ready, running } = checking.replicas
    if (ready.length === 0 && running.size === 0) return undefined
    const free = this.candidates.filter((host) => passingRefusal(this.job, host) === undefined)
    if (free.length === 0) return undefined
    const judges = (task: Task) => free.filter(({ peerId }) => checking.mayJudge(task, peerId))
    for (; this.#checksPassed < Math.min(ready.length, LOOKED_AT); this.#checksPassed += 1) {
      const task = ready[this.#checksPassed]!
      // One that has a checkpoint waits for the host that made it, also while that is busy.
      const home = homeOf(this.job, task, this.candidates)
      const waits = home !== undefined && checking.mayJudge(task, home.peerId)
      const takers = waits ? judges(task).filter((host) => host === home) : judges(task)
      const host = chooseHost(this.job, task, takers, lookout)
      if (host !== undefined) return { task, host }
    }
    // One that never ends holds up everything that is waited for.
    this.#lateChecks ??= lateChecks(this.job, lookout)
    for (let task = this.#lateChecks.shift(); task !== undefined; task = this.#lateChecks.shift()) {
      const asked = new Set(task.running.map((attempt) => attempt.host))
      const others = judges(task).filter(({ peerId }) => !asked.has(peerId))
      const host = chooseHost(this.job, task, others, lookout)
      if (host !== undefined) return { task, host, again: true }
    }
    return undefined
  }

  /** What is late runs a second time where nothing else is to do. */
  #again(lookout: Lookout): Choice | undefined {
    if (this.job.document.speculateAfter === undefined) return undefined
    // Once in a pass: there may be thousands of tasks, and as many hosts that could take them.
    this.#late ??= lateTasks(this.job, lookout)
    if (this.#late.length === 0) return undefined
    for (const host of openHosts(this.job, this.candidates)) {
      const task = straggler(this.#late, host)
      if (task !== undefined) return { task, host, again: true }
    }
    return undefined
  }

  /** Of a range that is cut as hosts take it, the next part for one that has room. */
  #cut(): Choice | undefined {
    const { tasks } = this.job
    if (tasks.cutting === undefined) return undefined
    for (const host of openHosts(this.job, this.candidates)) {
      const task = tasks.cutting.next(host.peerId, slotsOf(this.job, this.candidates))
      if (task !== undefined) return { task, host }
    }
    return undefined
  }

  sends(host: HostRecord, send: Send): void {
    const { job } = this
    const outgoing = this.outgoing.get(host) ?? { host, job, sends: [] }
    this.outgoing.set(host, outgoing)
    outgoing.sends.push(send)
    this.load += this.#weight
  }

  get #weight(): number {
    return this.job.document.base.resources.cpus
  }
}

/**
 * Whose turn it is: of the jobs with the highest priority the one that holds the fewest processors, one
 * task at a time, so that a job of a million tasks and one of ten that comes later share what there is.
 */
export class FairTurns {
  readonly lanes: Lane[] = []
  readonly #hosts: HostRecord[]
  readonly #open = new Set<Lane>()

  constructor(directory: Pick<HostDirectory, 'records'>) {
    this.#hosts = directory.records()
  }

  join(job: JobRun): void {
    const lane = new Lane(job, this.#hosts)
    this.lanes.push(lane)
    this.#open.add(lane)
  }

  next(): Lane | undefined {
    let best: Lane | undefined
    for (const lane of this.#open) if (best === undefined || before(lane, best)) best = lane
    return best
  }

  /** No host can take anything of it in this pass. */
  leave(lane: Lane): void {
    this.#open.delete(lane)
  }
}

function before(a: Lane, b: Lane): boolean {
  const [first, second] = [a.job.document.priority ?? 0, b.job.document.priority ?? 0]
  return first === second ? a.load < b.load : first > second
}
