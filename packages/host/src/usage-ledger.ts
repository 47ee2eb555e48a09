import type { Logger } from '@manyhands/core'
import type { Attempt } from './attempt.ts'
import {
  type AccountDocument,
  charge,
  type EndPhase,
  lastDay,
  newAccount,
} from './usage-account.ts'
import type { JournaledAccount, MeasuredAttempt, UsageJournal } from './usage-journal.ts'
import type { ClientTotal, JobTotal, UsageTotals } from './usage-totals.ts'

/** Clients, and jobs, of which totals are kept: the most recently active ones. */
const ACCOUNTS = 1024
/** How long what was used may be known in memory alone, ms. */
const FLUSH_MS = 10_000

/**
 * What clients and jobs use of this host, counted from the samples of their attempts and durable in the
 * journal: in batches, and with every sealed end. Quotas read the same numbers.
 */
export class UsageLedger {
  readonly #journal: UsageJournal
  readonly #logger: Logger
  readonly #now: () => number
  readonly #since: string
  /** By client and job; the job of a client's own account is empty. Least recently active first. */
  readonly #clients = new Map<string, AccountDocument>()
  readonly #jobs = new Map<string, AccountDocument>()
  /** What of an attempt's counters is in the accounts already. */
  readonly #counted = new Map<string, MeasuredAttempt>()
  /** The last key of each of them: mostly it is the one that is active again. */
  readonly #newest = new Map<Map<string, AccountDocument>, string>()
  readonly #dirty = new Set<string>()
  readonly #dirtyAttempts = new Set<string>()
  readonly #timer: NodeJS.Timeout
  #flushing: Promise<void> | undefined

  /** @param now - wall clock in Unix ms: days are people's days, also over restarts */
  constructor(journal: UsageJournal, logger: Logger, now: () => number = Date.now) {
    this.#journal = journal
    this.#logger = logger
    this.#now = now
    this.#since = journal.since
    for (const { client, job, account } of journal.accounts()) {
      this.#of(job).set(keyOf(client, job), account)
    }
    for (const counted of journal.measured()) this.#counted.set(counted.id, counted)
    this.#timer = setInterval(() => void this.flush(), FLUSH_MS)
    this.#timer.unref()
  }

  /** What was counted of an attempt by an earlier process. */
  countedOf(id: string): MeasuredAttempt | undefined {
    return this.#counted.get(id)
  }

  /** Takes over what an attempt has used since the last time. */
  measured(attempt: Attempt): void {
    const { id, usage, runMs } = attempt
    const before = this.#counted.get(id) ?? { id, cpuMs: 0, runMs: 0, elapsedMs: 0 }
    const cpuMs = Math.max(0, usage.cpuMs - before.cpuMs)
    const ranMs = Math.max(0, runMs - before.runMs)
    this.#counted.set(id, {
      id,
      cpuMs: before.cpuMs + cpuMs,
      runMs: before.runMs + ranMs,
      elapsedMs: attempt.sandboxMs,
    })
    this.#dirtyAttempts.add(id)
    this.#charge(attempt.client, attempt, { cpuMs, runMs: ranMs })
  }

  /** Bytes of inputs that came for an attempt. */
  received(attempt: Attempt, bytes: number): void {
    this.#charge(attempt.client, attempt, { bytesIn: bytes })
  }

  /** Bytes of outputs that left for a client. */
  sent(client: string, attempt: Attempt | undefined, bytes: number): void {
    this.#charge(client, attempt, { bytesOut: bytes })
  }

  /** An attempt is over: counted once, when its end is sealed. Resolves when that is durable. */
  ended(attempt: Attempt, phase: EndPhase): Promise<void> {
    if (attempt.startedAt !== undefined) this.measured(attempt)
    this.#charge(attempt.client, attempt, {})
    for (const account of this.#accountsOf(attempt.client, attempt)) account.ended[phase] += 1
    this.#counted.delete(attempt.id)
    this.#dirtyAttempts.add(attempt.id)
    return this.flush()
  }

  /** What a client used in the last 24 hours, to the hour: core-milliseconds, bytes in and out. */
  lastDay(client: string): { cpuMs: number; bytes: number } {
    const account = this.#clients.get(keyOf(client, ''))
    return account === undefined ? { cpuMs: 0, bytes: 0 } : lastDay(account, this.#now())
  }

  /** @param attempts - those that the host keeps now */
  totals(attempts: Iterable<Attempt>): Omit<UsageTotals, 'transfer'> {
    const live = new Map<string, { live: number; cpu: number; memory: number }>()
    for (const attempt of attempts) {
      if (attempt.over) continue
      for (const key of [keyOf(attempt.client, ''), keyOf(attempt.client, attempt.job)]) {
        const now = live.get(key) ?? { live: 0, cpu: 0, memory: 0 }
        now.live += 1
        now.cpu += attempt.usage.cpu
        now.memory += attempt.usage.memory
        live.set(key, now)
      }
    }
    const total = (key: string, account: AccountDocument): ClientTotal => {
      const { ended, cpuMs, runMs, bytesIn, bytesOut } = account
      return {
        client: key.slice(0, key.indexOf(' ')),
        ...(live.get(key) ?? { live: 0, cpu: 0, memory: 0 }),
        ended: { ...ended },
        cpuMs,
        runMs,
        bytesIn,
        bytesOut,
      }
    }
    return {
      since: this.#since,
      clients: [...this.#clients].map(([key, account]) => total(key, account)).reverse(),
      jobs: [...this.#jobs]
        .map(
          ([key, account]): JobTotal => ({
            ...total(key, account),
            job: key.slice(key.indexOf(' ') + 1),
            jobName: account.jobName ?? '',
          }),
        )
        .reverse(),
    }
  }

  /** An attempt was accepted: its client and job are known from now on. */
  began(attempt: Attempt): void {
    this.#charge(attempt.client, attempt, {})
  }

  /** Makes durable what is not; calls of one moment share one write. Never rejects. */
  flush(): Promise<void> {
    if (this.#dirty.size === 0 && this.#dirtyAttempts.size === 0) return Promise.resolve()
    this.#flushing ??= this.#journal
      .count(() => this.#take())
      .catch((cause) => {
        // The numbers stay in memory and in every later write of the same account.
        this.#logger.warn('usage could not be journaled', { cause: String(cause) })
      })
      .finally(() => {
        this.#flushing = undefined
      })
    return this.#flushing
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    await this.#flushing
    await this.flush()
  }

  #charge(
    client: string,
    attempt: Attempt | undefined,
    used: { cpuMs?: number; runMs?: number; bytesIn?: number; bytesOut?: number },
  ): void {
    for (const account of this.#accountsOf(client, attempt)) charge(account, used, this.#now())
  }

  /** Both accounts, as the most recently active ones. */
  #accountsOf(client: string, attempt: Attempt | undefined): AccountDocument[] {
    const accounts = [this.#account(this.#clients, keyOf(client, ''))]
    if (attempt !== undefined) {
      const key = keyOf(client, attempt.job)
      accounts.push(this.#account(this.#jobs, key, attempt.jobName))
    }
    return accounts
  }

  #account(of: Map<string, AccountDocument>, key: string, jobName?: string): AccountDocument {
    this.#dirty.add(key)
    let account = of.get(key)
    if (account !== undefined && this.#newest.get(of) === key) return account
    account ??= newAccount(jobName)
    of.delete(key)
    of.set(key, account)
    this.#newest.set(of, key)
    if (of.size > ACCOUNTS) {
      const [oldest] = of.keys()
      of.delete(oldest!)
      this.#dirty.add(oldest!)
    }
    return account
  }

  #of(job: string): Map<string, AccountDocument> {
    return job === '' ? this.#clients : this.#jobs
  }

  /** Everything that is not durable yet, taken in the moment in which it is written. */
  #take(): { accounts: JournaledAccount[]; measured: (MeasuredAttempt | string)[] } {
    const accounts = [...this.#dirty].map((key): JournaledAccount => {
      const at = key.indexOf(' ')
      const [client, job] = [key.slice(0, at), key.slice(at + 1)]
      return { client, job, account: this.#of(job).get(key) }
    }) as JournaledAccount[]
    const measured = [...this.#dirtyAttempts].map((id) => this.#counted.get(id) ?? id)
    this.#dirty.clear()
    this.#dirtyAttempts.clear()
    return { accounts, measured }
  }
}

function keyOf(client: string, job: string): string {
  return `${client} ${job}`
}
