import {
  createTransferGovernor,
  type JournalDatabase,
  type LocalTransferGovernor,
  type Logger,
  type TransferRecord,
  type TransferRules,
} from '@manyhands/core'

/** How long bytes may be counted in memory alone, ms: what a crash makes the quota forget. */
const FLUSH_MS = 5_000

export const TRANSFER_SCHEMA = `
  CREATE TABLE IF NOT EXISTS transfers (key TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT;
`

/** Where what was transferred outlives the process. */
export interface TransferJournal {
  record(): TransferRecord | undefined
  /** @param record - asked when the write happens */
  keep(record: () => TransferRecord): Promise<void>
}

const KEY = 'v1'

export class SqliteTransferJournal implements TransferJournal {
  readonly #database: JournalDatabase

  constructor(database: JournalDatabase) {
    this.#database = database
  }

  record(): TransferRecord | undefined {
    const row = this.#database.prepare('SELECT record FROM transfers WHERE key = ?').get(KEY)
    return row === undefined ? undefined : (JSON.parse(row['record'] as string) as TransferRecord)
  }

  keep(record: () => TransferRecord): Promise<void> {
    let taken: string | undefined
    return this.#database.transact(() => {
      // A group that fails is tried again entry by entry.
      taken ??= JSON.stringify(record())
      this.#database.prepare('INSERT OR REPLACE INTO transfers VALUES (?, ?)').run(KEY, taken)
    })
  }
}

/** What this host sends and receives, held to its owner's rules and counted over restarts. */
export class TransferAccount {
  readonly governor: LocalTransferGovernor
  readonly #journal: TransferJournal
  readonly #logger: Logger
  readonly #timer: NodeJS.Timeout
  #flushing: Promise<void> | undefined

  constructor(options: { journal: TransferJournal; rules: TransferRules; logger: Logger }) {
    const { journal, rules, logger } = options
    const record = journal.record()
    this.governor = createTransferGovernor({ rules, ...(record === undefined ? {} : { record }) })
    this.#journal = journal
    this.#logger = logger
    this.#timer = setInterval(() => void this.#flush(), FLUSH_MS)
    this.#timer.unref()
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    await this.#flushing
    await this.#flush()
  }

  #flush(): Promise<void> {
    if (!this.governor.changed) return Promise.resolve()
    this.#flushing ??= this.#journal
      .keep(() => this.governor.record())
      .catch((cause) => {
        // All of it is in memory still, and in the next write.
        this.#logger.warn('transfers could not be journaled', { cause: String(cause) })
      })
      .finally(() => {
        this.#flushing = undefined
      })
    return this.#flushing
  }
}
