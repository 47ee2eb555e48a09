import type { JournalDatabase, SignedJobClaim } from '@manyhands/core'

export const OWNERS_SCHEMA = `
  CREATE TABLE IF NOT EXISTS job_owners (
    client TEXT NOT NULL, job TEXT NOT NULL, owner TEXT NOT NULL, PRIMARY KEY (client, job)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS job_claims (
    turn INTEGER PRIMARY KEY, owner TEXT NOT NULL UNIQUE, document TEXT NOT NULL
  ) STRICT;
  CREATE TABLE IF NOT EXISTS attempt_origins (id TEXT PRIMARY KEY, client TEXT NOT NULL) STRICT;
`

/** A job as a client has it, and the public key of that job. */
export interface JobOwner {
  client: string
  job: string
  owner: string
}

/** What goes with a claim. */
export interface ClaimChange {
  /** Attempts that are another client's now. */
  attempts: { id: string; origin: string }[]
  /** Whether something of the job is here. */
  noted: boolean
  /** Public keys of jobs of which the claims are not kept any more. */
  forgotten: string[]
}

/** What a host remembers of whose jobs are whose: durable before a claim is answered. */
export interface OwnerJournal {
  owners(): JobOwner[]
  claims(): SignedJobClaim[]
  noted(owner: JobOwner): Promise<void>
  forget(client: string, job: string): Promise<void>
  /** Another client has a job. */
  claimed(claim: SignedJobClaim, change: ClaimChange): Promise<void>
}

export class SqliteOwnerJournal implements OwnerJournal {
  readonly #database: JournalDatabase

  constructor(database: JournalDatabase) {
    this.#database = database
    // Of a job of which nothing is here any more, its client says it again.
    database
      .prepare(
        `DELETE FROM job_owners WHERE NOT EXISTS
           (SELECT 1 FROM attempts WHERE attempts.client = job_owners.client AND attempts.job = job_owners.job)`,
      )
      .run()
  }

  owners(): JobOwner[] {
    return this.#database
      .prepare('SELECT client, job, owner FROM job_owners')
      .all() as unknown as JobOwner[]
  }

  claims(): SignedJobClaim[] {
    return this.#database
      .prepare('SELECT document FROM job_claims ORDER BY turn')
      .all()
      .map((row) => JSON.parse(row['document'] as string))
  }

  noted({ client, job, owner }: JobOwner): Promise<void> {
    return this.#database.write(
      'INSERT OR REPLACE INTO job_owners VALUES (?, ?, ?)',
      client,
      job,
      owner,
    )
  }

  forget(client: string, job: string): Promise<void> {
    return this.#database.write('DELETE FROM job_owners WHERE client = ? AND job = ?', client, job)
  }

  claimed(claim: SignedJobClaim, { attempts, noted, forgotten }: ClaimChange): Promise<void> {
    const { client, job, owner } = claim
    return this.#database.transact(() => {
      const run = (sql: string, ...values: string[]) => this.#database.prepare(sql).run(...values)
      run('DELETE FROM job_claims WHERE owner = ?', owner)
      run('INSERT INTO job_claims (owner, document) VALUES (?, ?)', owner, JSON.stringify(claim))
      for (const other of forgotten) run('DELETE FROM job_claims WHERE owner = ?', other)
      if (noted) run('INSERT OR REPLACE INTO job_owners VALUES (?, ?, ?)', client, job, owner)
      for (const { id, origin } of attempts) {
        run('UPDATE attempts SET client = ? WHERE id = ?', client, id)
        run('INSERT OR REPLACE INTO attempt_origins VALUES (?, ?)', id, origin)
      }
    })
  }
}
