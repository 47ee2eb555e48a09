import type { JournalDatabase } from '@manyhands/core'
import type { AccountDocument } from './usage-account.ts'

/** One account; without a document it is forgotten. An empty job: the client's own account. */
export interface JournaledAccount {
  client: string
  job: string
  account: AccountDocument | undefined
}

/** How much of an attempt's own counters is in the accounts. */
export interface MeasuredAttempt {
  id: string
  cpuMs: number
  /** Without the time in which it was paused. */
  runMs: number
  /** What the runtime said of its age at that moment. */
  elapsedMs: number
}

export const USAGE_SCHEMA = `
  CREATE TABLE IF NOT EXISTS usage_accounts (
    client TEXT NOT NULL, job TEXT NOT NULL, active INTEGER NOT NULL, account TEXT NOT NULL,
    PRIMARY KEY (client, job)
  ) STRICT;
  CREATE TABLE IF NOT EXISTS usage_attempts (
    id TEXT PRIMARY KEY, cpu_ms REAL NOT NULL, run_ms REAL NOT NULL, elapsed_ms REAL NOT NULL
  ) STRICT;
`

/** Totals that outlive the process. Accounts and what is counted of attempts change together. */
export interface UsageJournal {
  /** When counting began, ISO 8601. */
  readonly since: string
  /** Least recently active first. */
  accounts(): (JournaledAccount & { account: AccountDocument })[]
  measured(): MeasuredAttempt[]
  /** @param changes - asked once, when the write happens; a bare id is forgotten */
  count(
    changes: () => { accounts: JournaledAccount[]; measured: (MeasuredAttempt | string)[] },
  ): Promise<void>
}

export class SqliteUsageJournal implements UsageJournal {
  readonly since: string
  readonly #database: JournalDatabase
  #active = 0

  constructor(database: JournalDatabase, since: string) {
    this.#database = database
    this.since = since
    const newest = database.prepare('SELECT max(active) AS active FROM usage_accounts').get()
    this.#active = Number(newest?.['active'] ?? 0)
  }

  accounts(): (JournaledAccount & { account: AccountDocument })[] {
    return this.#database
      .prepare('SELECT client, job, account FROM usage_accounts ORDER BY active')
      .all()
      .map((row) => ({
        client: row['client'] as string,
        job: row['job'] as string,
        account: JSON.parse(row['account'] as string) as AccountDocument,
      }))
  }

  measured(): MeasuredAttempt[] {
    return this.#database
      .prepare('SELECT * FROM usage_attempts')
      .all()
      .map((row) => ({
        id: row['id'] as string,
        cpuMs: row['cpu_ms'] as number,
        runMs: row['run_ms'] as number,
        elapsedMs: row['elapsed_ms'] as number,
      }))
  }

  count(
    changes: () => { accounts: JournaledAccount[]; measured: (MeasuredAttempt | string)[] },
  ): Promise<void> {
    let taken: ReturnType<typeof changes> | undefined
    return this.#database.transact(() => {
      // A group that fails is tried again entry by entry.
      taken ??= changes()
      for (const { client, job, account } of taken.accounts) this.#put(client, job, account)
      for (const entry of taken.measured) {
        if (typeof entry === 'string') this.#forget(entry)
        else this.#measure(entry)
      }
    })
  }

  #put(client: string, job: string, account: AccountDocument | undefined): void {
    if (account === undefined) {
      this.#database
        .prepare('DELETE FROM usage_accounts WHERE client = ? AND job = ?')
        .run(client, job)
      return
    }
    this.#active += 1
    this.#database
      .prepare('INSERT OR REPLACE INTO usage_accounts VALUES (?, ?, ?, ?)')
      .run(client, job, this.#active, JSON.stringify(account))
  }

  #measure({ id, cpuMs, runMs, elapsedMs }: MeasuredAttempt): void {
    this.#database
      .prepare('INSERT OR REPLACE INTO usage_attempts VALUES (?, ?, ?, ?)')
      .run(id, cpuMs, runMs, elapsedMs)
  }

  #forget(id: string): void {
    this.#database.prepare('DELETE FROM usage_attempts WHERE id = ?').run(id)
  }
}
