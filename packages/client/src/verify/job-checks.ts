import { randomInt } from 'node:crypto'
import { ManyhandsError } from '@manyhands/core'
import { checkRate, type HostStandings, SAMPLE } from './host-standing.ts'
import type { ResultBook } from './result-book.ts'

/** How the check of a task ended: `host` gave the result that counts; `agreed` have the same one, `host` among them. */
export interface CheckOutcome {
  host: string
  agreed: string[]
  wrong: string[]
}

/** What follows from a result or from the end of a check: tasks by their keys. */
export interface CheckOrders {
  /** Others are to be asked for these. */
  check: string[]
  /** The results of these are taken back; they are to be run again. */
  rerun: string[]
}

export interface JobChecksOptions {
  standings: HostStandings
  book: ResultBook
  /** 0 (inclusive) to 1, such that nobody can foretell it; default: of the system. */
  random?: () => number
  /** Least share that is checked; default 0.03. */
  sample?: number
  /** Every result is checked, whoever gave it: results are handed out when their replicas agree. */
  everything?: boolean
}

/**
 * Decides which results of a job are checked, and which fall. A draw takes place only when the result is
 * here, bound by its host's signature: who does not know whether it will be checked cannot choose what to
 * cheat with.
 *
 * A result stands on those who gave it. When all of them were found wrong, it falls: what is unchecked
 * falls with its host, and what two that work together have confirmed falls with the second of them. Whoever
 * was found wrong by what has fallen is so no longer.
 *
 * All that it knows of the job is in the book: made anew over the same one, it goes on where it was.
 */
export class JobChecks {
  readonly #options: JobChecksOptions
  readonly #pending = new Map<string, number>()
  /** Hosts that were found wrong, and by the checks of which tasks. */
  readonly #wrong = new Map<string, Set<string>>()
  /** Results of hosts that nobody has confirmed or found wrong, of this process. */
  readonly #undecided = new Map<string, number>()

  constructor(options: JobChecksOptions) {
    this.#options = options
    for (const { task, host, state, against } of options.book.unsettled()) {
      if (state === 'checking') count(this.#pending, host, 1)
      for (const one of against) this.#convict(one, task)
    }
  }

  /** How much of what a host has given would have to be run again if it were found wrong now. */
  undecided(host: string): number {
    return this.#undecided.get(host) ?? 0
  }

  /** Whether a host was found wrong in this job: then it vouches for nobody. */
  isWrong(host: string): boolean {
    return this.#wrong.has(host)
  }

  /** A result is here, with the receipt that binds its host to it. */
  committed(task: string, host: string): CheckOrders {
    this.kept(task, host)
    return { check: this.#isDrawn(host) ? [this.#check(task, host)] : [], rerun: [] }
  }

  /** A result is here that is not drawn for, and does not count before it was. */
  kept(task: string, host: string): void {
    this.#options.book.put({ task, host, state: 'unchecked', supporters: [host], against: [] })
    count(this.#undecided, host, 1)
  }

  /** Another job has found a host wrong: what nobody has confirmed of it falls here as well. */
  distrusted(host: string): CheckOrders {
    return { check: [], rerun: this.#fall(new Set([host, ...this.#wrong.keys()])) }
  }

  /**
   * A check is over, and hosts agreed. Where they do not, its task has failed: see {@link withdrawn}.
   *
   * @throws INTERNAL when there was none
   */
  decided(task: string, { host, agreed, wrong }: CheckOutcome): CheckOrders {
    const { book, standings } = this.#options
    const checked = book.get(task)
    if (checked?.state !== 'checking') {
      throw new ManyhandsError('INTERNAL', `task ${task} is not being checked`)
    }
    count(this.#pending, checked.host, -1)
    count(this.#undecided, checked.host, -1)
    book.change(task, { state: 'agreed', host, supporters: agreed, against: wrong })
    for (const one of agreed) standings.agreed(one)
    const news = wrong.filter((one) => !this.#wrong.has(one))
    for (const one of wrong) {
      standings.mismatched(one)
      this.#convict(one, task)
    }
    // Only those that were just found wrong, or that just agreed with each other, can bring anything down.
    const allWrong = agreed.every((one) => this.#wrong.has(one))
    return { check: [], rerun: news.length > 0 || allWrong ? this.#fall() : [] }
  }

  /** A task's result does not count any more, for a reason of its own. Nobody is found wrong by it. */
  withdrawn(task: string): void {
    const { book } = this.#options
    const result = book.get(task)
    if (result === undefined) return
    if (result.state === 'checking') count(this.#pending, result.host, -1)
    if (result.state === 'checking' || result.state === 'unchecked') {
      count(this.#undecided, result.host, -1)
    }
    for (const one of result.against) this.#acquit(one, task)
    book.remove(task)
  }

  /**
   * No more results are to come, and no check is under way: the last word of every host is checked, too. A
   * host that has cheated from some moment on is found by it. To be asked until it has nothing to order.
   */
  closing(): CheckOrders {
    const { book } = this.#options
    const check: string[] = []
    for (const host of book.hosts()) {
      const last = book.lastOf(host)
      if (last?.state === 'unchecked') check.push(this.#check(last.task, host))
    }
    return { check, rerun: [] }
  }

  /** Whether a check of a host's results is under way. */
  get busy(): boolean {
    return [...this.#pending.values()].some((count) => count > 0)
  }

  /**
   * Checks that are under way count as if they had agreed: if one of them does not, all that was left
   * unchecked because of it falls. So a host with many results at once costs no more than one with few.
   */
  #isDrawn(host: string): boolean {
    const { standings, sample = SAMPLE, everything = false } = this.#options
    const { random = unforeseeable } = this.#options
    if (everything || this.#wrong.has(host)) return true
    return random() < checkRate(standings.run(host) + (this.#pending.get(host) ?? 0), sample)
  }

  #check(task: string, host: string): string {
    this.#options.book.change(task, { state: 'checking' })
    count(this.#pending, host, 1)
    return task
  }

  /** What stands on these alone does not count, until its task has another result. */
  #fall(wrong: ReadonlySet<string> = new Set(this.#wrong.keys())): string[] {
    const { book } = this.#options
    const fallen = book.standingOn(wrong)
    for (const { task, host, state, against } of fallen) {
      if (state === 'unchecked') count(this.#undecided, host, -1)
      for (const one of against) this.#acquit(one, task)
      book.change(task, { state: 'fallen', against: [] })
    }
    return fallen.map(({ task }) => task)
  }

  #convict(host: string, task: string): void {
    const tasks = this.#wrong.get(host) ?? new Set<string>()
    this.#wrong.set(host, tasks.add(task))
  }

  #acquit(host: string, task: string): void {
    const tasks = this.#wrong.get(host)
    tasks?.delete(task)
    if (tasks?.size === 0) this.#wrong.delete(host)
  }
}

function count(of: Map<string, number>, host: string, change: number): void {
  const now = (of.get(host) ?? 0) + change
  if (now > 0) of.set(host, now)
  else of.delete(host)
}

function unforeseeable(): number {
  return randomInt(2 ** 47) / 2 ** 47
}
