import type { JournalDatabase } from '@manyhands/core'

/** What is remembered of a host from one process to the next. */
export interface HostRow {
  peer: string
  /** Where it was reached last. */
  addresses: string[]
  /** What was seen of it, as it was written. */
  experience: unknown
}

export const HOST_SCHEMA = `
  CREATE TABLE IF NOT EXISTS hosts (
    peer TEXT PRIMARY KEY, addresses TEXT NOT NULL, experience TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;
`

export interface HostRows {
  get(peer: string): HostRow | undefined
  /** Soon, with whatever else is written: a host that is forgotten is found again. */
  remember(host: HostRow): Promise<void>
}

export class SqliteHostRows implements HostRows {
  readonly #database: JournalDatabase

  constructor(database: JournalDatabase) {
    this.#database = database
  }

  get(peer: string): HostRow | undefined {
    const row = this.#database
      .prepare('SELECT addresses, experience FROM hosts WHERE peer = ?')
      .get(peer)
    if (row === undefined) return undefined
    const addresses = JSON.parse(row['addresses'] as string)
    return { peer, addresses, experience: JSON.parse(row['experience'] as string) }
  }

  remember({ peer, addresses, experience }: HostRow): Promise<void> {
    return this.#database.write(
      'INSERT OR REPLACE INTO hosts (peer, addresses, experience) VALUES (?,?,?)',
      peer,
      JSON.stringify(addresses),
      JSON.stringify(experience),
    )
  }
}
