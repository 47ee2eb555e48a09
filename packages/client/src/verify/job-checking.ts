import {
  type AcceptSpec,
  type ArtifactStore,
  type Clock,
  type ErrorCode,
  ManyhandsError,
  type TaskPhase,
  type TaskResult,
  toManyhandsError,
} from '@manyhands/core'
import type { JobNews } from '../job-chronicle.ts'
import type { JobDocument, JobHooks } from '../job-document.ts'
import type { CheckRows } from '../journal/check-rows.ts'
import type { Task } from '../task.ts'
import type { AgreementStep } from './agreement.ts'
import { whyNotAsked } from './check-judges.ts'
import { DurableDecisions } from './durable-decisions.ts'
import { mayHandOut } from './hand-out.ts'
import { type HostStandings, PROBATION } from './host-standing.ts'
import { type HostOrigin, independent } from './independence.ts'
import { type CheckOrders, JobChecks } from './job-checks.ts'
import { OpenCheck } from './open-check.ts'
import { ReplicaLine } from './replica-line.ts'
import type { ResultBook } from './result-book.ts'
import type { Decision, ResultRevision } from './result-revision.ts'

/** Results of a host, and share of the job, that may be undecided while none of them was found right. */
const UNPROVEN = { results: PROBATION, share: 0.02 }
/** Results that have to agree where a job does not say how many. */
const REPLICAS = 2
/** How long whatever is wrong here is waited for, ms. */
const WAIT_MS = 10_000
/** What says something about a result. Everything else that goes wrong with a check is ours, and passes. */
const VERDICTS: ReadonlySet<ErrorCode> = new Set([
  'RESULT_DISPUTED',
  'COMPARE_INVALID',
  'INPUT_CHANGED',
])
/** Outputs that are not here any more: their task runs again. */
const GONE: ReadonlySet<ErrorCode> = new Set(['ARTIFACT_MISSING', 'ARTIFACT_CORRUPT', 'NOT_FOUND'])

/** What checks of all jobs of a client share. */
export interface CheckingParts {
  standings: HostStandings
  /** The same object while nothing of it changes. */
  originOf(peer: string): HostOrigin
  /** Default: such that nobody can foretell it. */
  random?: () => number
}

export interface JobCheckingParts extends CheckingParts {
  job: string
  document: JobDocument
  hooks: JobHooks
  rows: CheckRows
  store: Pick<ArtifactStore, 'retain' | 'release'>
  clock: Clock
  revision: ResultRevision
  /** The result that a task has, with its outputs. */
  resultOf(key: string): Promise<TaskResult>
  /** The n-th task that does the same as one that has a result. Undefined when what it takes is gone. */
  replica(key: string, n: number): Task | undefined
  /** How many attempts are at a host. */
  attemptsAt(host: string): number
  tell(event: JobNews): void
  /** Something can be sent out. */
  ready(): void
  /** A check is over. */
  settled(): void
  /** Nobody waits for these any more: their attempts are to be ended, and nothing of them is kept. */
  dropped(tasks: Task[]): void
  /** Whether the job is. */
  over(): boolean
}

/**
 * The checks of one job: which of its results are checked, by whom, and what follows. What a check comes to
 * changes results that were accepted; none that may change is handed out, but where that was asked for.
 */
export class JobChecking {
  readonly replicas: ReplicaLine
  /** The host at which a task goes on, where it has a checkpoint; told by who schedules. */
  homeOf: (task: Task) => string | undefined = () => undefined
  readonly #parts: JobCheckingParts
  readonly #accept: AcceptSpec
  readonly #book: ResultBook
  readonly #checks: JobChecks
  /** By the key of the task. */
  readonly #open = new Map<string, OpenCheck>()
  readonly #decisions: DurableDecisions
  #unlisten = () => {}
  #begun = false
  #stopped = false
  /** There is nothing more to check. */
  #done = false

  constructor(parts: JobCheckingParts) {
    this.#parts = parts
    const { document, rows, job, standings, random, store } = parts
    const { accept = 'job-end', verify = {} } = document
    this.#accept = accept
    this.#book = rows.book(job)
    this.#checks = new JobChecks({
      standings,
      book: this.#book,
      everything: accept === 'quorum',
      ...(random === undefined ? {} : { random }),
      ...(verify.sample === undefined ? {} : { sample: verify.sample }),
    })
    this.#decisions = new DurableDecisions(parts)
    this.replicas = new ReplicaLine({
      store,
      ready: () => parts.ready(),
      ended: (check, _, phase, result) => this.#ended(check, phase, result),
    })
  }

  /** Goes on where an earlier process was. What its replicas have come to is not known: others are asked. */
  begin(): void {
    if (this.#begun) return
    this.#begun = true
    const { rows, job, standings } = this.#parts
    this.#unlisten = standings.onMismatch((host) => this.#distrust(host))
    const fallen: string[] = []
    for (const { task, state } of this.#book.unsettled()) {
      if (state === 'checking') this.#check(task)
      if (state === 'fallen') fallen.push(task)
    }
    this.#decisions.decide({ undo: fallen }, fallen)
    for (const { task, host } of rows.unbooked(job)) {
      if (this.#book.get(task) === undefined) this.committed(task, host)
    }
  }

  /** Whether a host was found wrong in this job: it gets nothing more of it. */
  isWrong(host: string): boolean {
    return this.#checks.isWrong(host)
  }

  /**
   * Whether so much of what a host has, or has given, is undecided that more is not risked: if it is found
   * wrong, all of that runs again. The more often it was right, the more it may be.
   */
  isUnproven(host: string): boolean {
    const { standings, document, attemptsAt } = this.#parts
    const run = standings.run(host)
    const first = Math.max(UNPROVEN.results, UNPROVEN.share * (document.total ?? 0))
    const most = first * (1 + run + run ** 2 / 10)
    return this.#checks.undecided(host) + attemptsAt(host) >= most
  }

  /** Whether nothing is read before the job is over. */
  get holdsBack(): boolean {
    return this.#accept === 'job-end' && !this.#done && !this.#parts.over()
  }

  /** Whether another result may follow one that was handed out. */
  get isProvisional(): boolean {
    return this.#accept !== 'job-end' && this.#accept !== 'quorum'
  }

  /** Whether the end of a task may be given to the caller. */
  handsOut(key: string, phase: TaskPhase): boolean {
    if (phase !== 'completed' || this.#done) return true
    if (this.isChanging(key)) return false
    return mayHandOut(this.#accept, this.#book.get(key)?.state, this.#parts.over())
  }

  /** Whether a result is not handed out only until what was decided of it is durable. */
  isChanging(key: string): boolean {
    return this.#decisions.changes(key) && !this.isProvisional && !this.#done
  }

  /** Whether another result of a task that completed may follow. */
  mayFall(): boolean {
    return this.isProvisional && !this.#done && !this.#parts.over()
  }

  /** Whether a host may run a replica: it is independent of all that have been asked for the same. */
  mayJudge(task: Task, peer: string): boolean {
    const check = this.replicas.checkOf(task)
    return check !== undefined && whyNotAsked(check, task, peer, this.#parts.originOf) === undefined
  }

  /** Why a host is not asked for the check of a task; undefined when it may be, or when there is none. */
  whyNot(key: string, peer: string): string | undefined {
    const check = this.#open.get(key)
    return check === undefined
      ? undefined
      : whyNotAsked(check, undefined, peer, this.#parts.originOf)
  }

  /** Whether a host is independent of all of these. */
  areApart(host: string, others: Iterable<string>): boolean {
    const { originOf, document } = this.#parts
    const origin = originOf(host)
    return [...others].every((other) =>
      independent(originOf(other), origin, document.verify?.apart),
    )
  }

  isOpen(key: string): boolean {
    return this.#open.has(key)
  }

  /** A task has a result. */
  committed(key: string, host: string): void {
    if (this.#stopped) this.#checks.kept(key, host)
    else this.#follow(this.#checks.committed(key, host))
  }

  /** A task's result does not count any more, for whatever reason. */
  withdrawn(key: string): void {
    const check = this.#open.get(key)
    if (check !== undefined) this.#close(check)
    this.#checks.withdrawn(key)
  }

  /** All tasks have results. Whether there is nothing more to check; what there is is begun. */
  closed(): boolean {
    if (this.#open.size > 0 || this.#decisions.pending) return false
    const orders = this.#checks.closing()
    this.#follow(orders)
    this.#done = orders.check.length === 0 && orders.rerun.length === 0
    if (this.#done) this.#unlisten()
    return this.#done
  }

  /** The job is over, or goes on in another process. Answers the replicas of its checks. */
  stop(): Task[] {
    this.#stopped = true
    this.#unlisten()
    return [...this.#open.values()].flatMap((check) => this.#drop(check))
  }

  /** Resolves when all that was decided is durable. */
  idle(): Promise<void> {
    return this.#decisions.idle()
  }

  /** The job goes on after it was over. */
  reopen(): void {
    this.#stopped = false
    this.#begun = false
    this.#done = false
    this.begin()
  }

  #ended(check: OpenCheck, phase: TaskPhase, result: TaskResult): void {
    const { originOf } = this.#parts
    // One that was never anywhere has no host.
    const origin = result.host ? originOf(result.host) : undefined
    if (phase === 'completed' && origin !== undefined) check.arrived(result, origin)
    else check.failed(result.error, origin)
    void this.#advance(check)
  }

  #follow({ check, rerun }: CheckOrders): void {
    for (const key of check) this.#check(key)
    this.#decisions.decide({ undo: rerun }, rerun)
  }

  /** Another job has found it wrong: that it was right before says nothing any more. */
  #distrust(host: string): void {
    if (!this.#stopped && !this.isWrong(host)) this.#follow(this.#checks.distrusted(host))
  }

  #check(key: string): void {
    if (this.#open.has(key)) return
    const { document, originOf } = this.#parts
    const { host } = this.#book.get(key)!
    const { replicas = REPLICAS, apart } = document.verify ?? {}
    const check = new OpenCheck(key, originOf(host), { wanted: replicas, apart })
    this.#open.set(key, check)
    void this.#advance(check)
  }

  async #advance(check: OpenCheck): Promise<void> {
    const { job, document, hooks, clock } = this.#parts
    const { key } = check
    const comparator = hooks.compare ?? document.verify?.compare ?? 'bytes'
    try {
      const step = await check.advance(
        comparator,
        () => this.#parts.resultOf(key),
        (peer) => this.isWrong(peer),
      )
      // Another call of it goes on, or nobody waits for it any more.
      if (step === undefined || this.#open.get(key) !== check) return
      if (step.step === 'ask') this.#ask(check, step.count)
      else if (step.step === 'accept') await this.#agree(check, step)
      else {
        const hosts = step.results.join(', ')
        const what = `task ${key} of job ${job}: no majority of ${hosts} had the same result`
        throw new ManyhandsError('RESULT_DISPUTED', what, { details: { receipts: check.receipts } })
      }
    } catch (cause) {
      if (this.#open.get(key) !== check) return
      const error = toManyhandsError(cause)
      if (VERDICTS.has(error.code)) this.#dispute(check, error)
      else if (GONE.has(error.code)) this.#decisions.decide({ undo: [key] }, [key])
      else clock.after(WAIT_MS, () => void this.#advance(check))
    }
  }

  #ask(check: OpenCheck, count: number): void {
    for (let missing = count - check.replicas.size; missing > 0; missing -= 1) {
      check.asked += 1
      const task = this.#parts.replica(check.key, check.asked)
      if (task === undefined) {
        throw new ManyhandsError(
          'INPUT_CHANGED',
          `task ${check.key} cannot be checked: what it takes is not there any more`,
        )
      }
      this.replicas.add(check, task)
    }
    this.#parts.ready()
  }

  async #agree(
    check: OpenCheck,
    { accepted, agreed, wrong }: Extract<AgreementStep, { step: 'accept' }>,
  ): Promise<void> {
    const { resultOf, store, job, tell } = this.#parts
    const { key } = check
    const before = this.#book.get(key)!.host
    // What was handed out stays, where it is as good.
    const host = agreed.includes(before) && this.isProvisional ? before : accepted
    const earlier = await resultOf(key)
    const result = {
      ...(host === before ? earlier : await check.resultOf(host, () => resultOf(key))),
      agreedBy: agreed,
    }
    if (this.#open.get(key) !== check) return
    const { artifact } = result.outputs
    const other = artifact !== earlier.outputs.artifact
    if (artifact !== '' && other) store.retain(artifact, job)
    const again = host !== before || this.#accept === 'quorum'
    const { rerun } = this.#checks.decided(key, { host, agreed, wrong })
    const decision: Decision = {
      replace: { key, result, again },
      undo: rerun,
      undoTakers: other ? [key] : [],
    }
    this.#decisions.decide(decision, [key, ...rerun], ({ replaced }) => {
      if (!replaced) return
      tell({ kind: 'check', task: key, outcome: 'agreed', hosts: agreed, wrong })
      if (again && this.handsOut(key, 'completed')) {
        tell({ kind: 'task', task: key, phase: 'completed', result })
      }
    })
    this.#close(check)
  }

  /** Nobody can say what is right: the task has failed. */
  #dispute(check: OpenCheck, error: ManyhandsError): void {
    const { key } = check
    const hosts = check.agreement.results.map(({ host }) => host.peer)
    this.#decisions.decide({ fail: { key, error } }, [key], () => {
      this.#parts.tell({ kind: 'check', task: key, outcome: 'disputed', hosts, wrong: [] })
    })
    this.#close(check)
  }

  #close(check: OpenCheck): void {
    const dropped = this.#drop(check)
    if (dropped.length > 0) this.#parts.dropped(dropped)
  }

  #drop(check: OpenCheck): Task[] {
    this.#open.delete(check.key)
    return this.replicas.drop(check)
  }
}
