import type { JournalDatabase, SignedJobClaim } from '@manyhands/core'

/** Whose a job is, where that is more than "of the client that submitted it". */
export interface Ownership {
  /** Private key of the job, hexadecimal. */
  seed: string
  /** What nonces of its attempts follow from, hexadecimal. */
  nonceKey: string
  /** How often it has changed hands until it came here; 0: it was submitted here. */
  epoch: number
  /** Who owned it at which epoch before, as far as that is known. */
  owners: [epoch: number, client: string][]
  /** Whether somebody may have its key: then hosts keep what this client has of them. */
  shared: boolean
  /** Another client continues it. */
  taken?: SignedJobClaim
}

export const OWNERSHIP_SCHEMA = `
  CREATE TABLE IF NOT EXISTS ownership (
    job TEXT PRIMARY KEY, document TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;
`

export interface OwnershipRows {
  of(job: string): Ownership | undefined
  /** Inside a transaction of the journal. */
  put(job: string, ownership: Ownership): void
}

export class SqliteOwnershipRows implements OwnershipRows {
  readonly #database: JournalDatabase

  constructor(database: JournalDatabase) {
    this.#database = database
  }

  of(job: string): Ownership | undefined {
    const row = this.#database.prepare('SELECT document FROM ownership WHERE job = ?').get(job)
    return row === undefined ? undefined : JSON.parse(row['document'] as string)
  }

  put(job: string, ownership: Ownership): void {
    this.#database
      .prepare('INSERT OR REPLACE INTO ownership VALUES (?, ?)')
      .run(job, JSON.stringify(ownership))
  }
}
