import {
  type Agreement,
  mayJudge,
  nextStep,
  openAgreement,
  withComparison,
  withResult,
} from '../../packages/client/src/verify/agreement.ts'
import { HostStandings } from '../../packages/client/src/verify/host-standing.ts'
import { type CheckOrders, JobChecks } from '../../packages/client/src/verify/job-checks.ts'
import { MemoryResultBook, type ResultBook } from '../../packages/client/src/verify/result-book.ts'
import { seededRandom } from './seeded-random.ts'
import { type Conduct, SimulatedHost, TRUE_VALUE } from './simulated-host.ts'

export interface SimulatedJobOptions {
  conducts: Conduct[]
  tasksPerHost: number
  seed: number
  replicas?: number
  sample?: number
  everything?: boolean
  /** Results of a host that are under way at once. */
  slots?: number
  standings?: HostStandings
  /** Default: in memory. */
  book?: ResultBook
}

export interface SimulatedJobOutcome {
  /** Executions for each task: 1 without any checks. */
  work: number
  tasks: number
  /** Wrong results among those that the caller gets at the job's end. */
  wrongAccepted: number
  wrongFrom: string[]
  /** Hosts that were found wrong. */
  caught: ReadonlySet<string>
  disputed: number
  /** Results that were taken back. */
  retracted: number
}

interface Check {
  agreement: Agreement
  /** Hosts that work on it. */
  asked: Set<string>
}

/**
 * A job on simulated hosts, with the very machines that decide in a client: in rounds, each host does as much
 * as it has slots. Who was found wrong gets nothing more of the job.
 */
export class SimulatedJob {
  readonly #options: SimulatedJobOptions
  readonly #hosts: SimulatedHost[]
  readonly #random: () => number
  readonly #book: ResultBook
  readonly #checks: JobChecks
  readonly #fresh: string[]
  readonly #open = new Map<string, Check>()
  /** What each host said of each task. */
  readonly #values = new Map<string, string>()
  #executions = 0
  #retracted = 0

  constructor(options: SimulatedJobOptions) {
    this.#options = options
    const { conducts, tasksPerHost, seed } = options
    this.#hosts = conducts.map((conduct, index) => new SimulatedHost(index, conduct, seed))
    this.#random = seededRandom(seed)
    this.#book = options.book ?? new MemoryResultBook()
    this.#checks = new JobChecks({
      standings: options.standings ?? new HostStandings(),
      book: this.#book,
      random: seededRandom(seed + 1_000_003),
      ...(options.sample === undefined ? {} : { sample: options.sample }),
      ...(options.everything === undefined ? {} : { everything: options.everything }),
    })
    this.#fresh = Array.from({ length: conducts.length * tasksPerHost }, (_, n) =>
      String(n),
    ).reverse()
  }

  run(): SimulatedJobOutcome {
    for (;;) {
      if (this.#fresh.length === 0 && this.#open.size === 0) {
        this.#order(this.#checks.closing())
        if (this.#fresh.length === 0 && this.#open.size === 0) return this.#outcome()
      }
      this.#round()
    }
  }

  #round(): void {
    const { slots = 1 } = this.#options
    const free = new Map(
      this.#hosts.filter(({ peer }) => !this.#checks.isWrong(peer)).map((host) => [host, slots]),
    )
    const work: { host: SimulatedHost; task: string; check: boolean }[] = []
    const give = (host: SimulatedHost, task: string, check: boolean) => {
      work.push({ host, task, check })
      const left = free.get(host)! - 1
      if (left === 0) free.delete(host)
      else free.set(host, left)
    }
    for (const [task, check] of this.#open) {
      const step = nextStep(check.agreement)
      if (step.step !== 'ask') continue
      for (let n = check.asked.size; n < step.count; n += 1) {
        const able = [...free.keys()].filter(
          ({ peer, origin }) => !check.asked.has(peer) && mayJudge(check.agreement, origin),
        )
        const judge = able[Math.floor(this.#random() * able.length)]
        if (judge === undefined) break
        check.asked.add(judge.peer)
        give(judge, task, true)
      }
    }
    for (const host of [...free.keys()]) {
      while (free.has(host) && this.#fresh.length > 0) give(host, this.#fresh.pop()!, false)
    }
    // A check for which nobody is left: none of these worlds is that small, or it is no world to test.
    if (work.length === 0) throw new RangeError('nobody is left to do the work')
    for (const { host, task, check } of work) this.#done(host, task, check)
  }

  #done(host: SimulatedHost, task: string, check: boolean): void {
    this.#executions += 1
    this.#values.set(`${task} ${host.peer}`, host.execute(task))
    if (!check) {
      this.#order(this.#checks.committed(task, host.peer))
      return
    }
    const open = this.#open.get(task)!
    open.asked.delete(host.peer)
    open.agreement = withResult(open.agreement, { id: host.peer, host: host.origin })
    this.#advance(task, open)
  }

  #advance(task: string, check: Check): void {
    const value = (id: string) => this.#values.get(`${task} ${id}`)
    for (;;) {
      const step = nextStep(check.agreement)
      if (step.step === 'ask') return
      if (step.step === 'compare') {
        for (const [a, b] of step.pairs) {
          const distance = value(a) === value(b) ? 0 : (false as const)
          check.agreement = withComparison(check.agreement, { a, b, distance })
        }
        continue
      }
      this.#open.delete(task)
      if (step.step === 'disputed') {
        this.#checks.withdrawn(task)
      } else {
        const { accepted: host, agreed, wrong } = step
        this.#order(this.#checks.decided(task, { host, agreed, wrong }))
      }
      return
    }
  }

  #order({ check, rerun }: CheckOrders): void {
    this.#retracted += rerun.length
    this.#fresh.push(...rerun)
    for (const task of check) {
      const { host } = this.#book.get(task)!
      const { origin } = this.#hosts.find(({ peer }) => peer === host)!
      const agreement = withResult(openAgreement(this.#options.replicas ?? 2), {
        id: host,
        host: origin,
      })
      this.#open.set(task, { agreement, asked: new Set() })
    }
  }

  #outcome(): SimulatedJobOutcome {
    const tasks = this.#hosts.length * this.#options.tasksPerHost
    const wrongFrom: string[] = []
    let disputed = 0
    for (let task = 0; task < tasks; task += 1) {
      // What is disputed has failed, and has no result.
      const booked = this.#book.get(String(task))
      if (booked === undefined) disputed += 1
      else if (this.#values.get(`${task} ${booked.host}`) !== TRUE_VALUE)
        wrongFrom.push(booked.host)
    }
    return {
      work: this.#executions / tasks,
      tasks,
      wrongAccepted: wrongFrom.length,
      wrongFrom,
      caught: new Set(
        this.#hosts.map(({ peer }) => peer).filter((peer) => this.#checks.isWrong(peer)),
      ),
      disputed,
      retracted: this.#retracted,
    }
  }
}
