import type { JournalDatabase } from '@manyhands/core'
import type { ResultBook } from '../verify/result-book.ts'
import { JournaledResultBook } from './journaled-result-book.ts'

export const CHECK_SCHEMA = `
  CREATE TABLE IF NOT EXISTS checks (
    job TEXT NOT NULL, task TEXT NOT NULL, host TEXT NOT NULL, state TEXT NOT NULL,
    supporters TEXT NOT NULL, against TEXT NOT NULL, at INTEGER NOT NULL,
    PRIMARY KEY (job, task)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS checks_by_host ON checks (job, host, at);
  CREATE INDEX IF NOT EXISTS checks_by_state ON checks (job, state) WHERE state <> 'unchecked';
  CREATE TABLE IF NOT EXISTS host_standings (
    host TEXT PRIMARY KEY, run INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
`

/**
 * What is remembered of checks. Everything is written soon, with whatever else is: a result of which nothing
 * is known here after a restart is drawn for again, and its host knows of neither draw.
 */
export interface CheckRows {
  /** Results of a job. One book at a time. */
  book(job: string): ResultBook
  /** Completed tasks of which nothing is known here, with their hosts. */
  unbooked(job: string): { task: string; host: string }[]
  standings(): Record<string, number>
  /** Checks of a host that have agreed in a row; 0 after a mismatch. */
  keepStanding(host: string, run: number): Promise<void>
  /** All checks of a job are done, and what was not checked stands. Inside a transaction of the journal. */
  settle(job: string): void
}

export class SqliteCheckRows implements CheckRows {
  readonly #database: JournalDatabase

  constructor(database: JournalDatabase) {
    this.#database = database
  }

  book(job: string): ResultBook {
    return new JournaledResultBook(this.#database, job)
  }

  unbooked(job: string): { task: string; host: string }[] {
    return this.#database
      .prepare(
        `SELECT key, document ->> '$.host' AS host FROM tasks WHERE job = ? AND phase = 'completed'
           AND NOT EXISTS (SELECT 1 FROM checks WHERE checks.job = tasks.job AND task = key)
         ORDER BY completion`,
      )
      .all(job)
      .map((row) => ({ task: row['key'] as string, host: row['host'] as string }))
  }

  standings(): Record<string, number> {
    const rows = this.#database.prepare('SELECT host, run FROM host_standings').all()
    return Object.fromEntries(rows.map((row) => [row['host'] as string, Number(row['run'])]))
  }

  keepStanding(host: string, run: number): Promise<void> {
    return run === 0
      ? this.#database.write('DELETE FROM host_standings WHERE host = ?', host)
      : this.#database.write('INSERT OR REPLACE INTO host_standings VALUES (?,?)', host, run)
  }

  settle(job: string): void {
    this.#database
      .prepare("UPDATE checks SET state = 'stands' WHERE job = ? AND state = 'unchecked'")
      .run(job)
  }
}
