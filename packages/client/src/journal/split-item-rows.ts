import type { JournalDatabase } from '@manyhands/core'
import { ITEMS_PER_BLOCK } from '../split-items.ts'

export const SPLIT_ITEM_SCHEMA = `
  CREATE TABLE IF NOT EXISTS split_items (
    job TEXT NOT NULL, block INTEGER NOT NULL, items TEXT NOT NULL, PRIMARY KEY (job, block)
  ) STRICT, WITHOUT ROWID;
`

/** The items of jobs that are split by items, in the order of their sources. */
export interface SplitItemRows {
  /** Inside a transaction of the journal. */
  insert(job: string, blocks: readonly string[]): void
  /** Those from one place to another, both included. */
  slice(job: string, first: number, last: number): unknown[]
}

export class SqliteSplitItemRows implements SplitItemRows {
  readonly #database: JournalDatabase

  constructor(database: JournalDatabase) {
    this.#database = database
  }

  insert(job: string, blocks: readonly string[]): void {
    const insert = this.#database.prepare('INSERT INTO split_items VALUES (?,?,?)')
    for (const [at, block] of blocks.entries()) insert.run(job, at, block)
  }

  slice(job: string, first: number, last: number): unknown[] {
    const from = Math.floor(first / ITEMS_PER_BLOCK)
    const items = this.#database
      .prepare(
        'SELECT items FROM split_items WHERE job = ? AND block BETWEEN ? AND ? ORDER BY block',
      )
      .all(job, from, Math.floor(last / ITEMS_PER_BLOCK))
      .flatMap((row) => JSON.parse(row['items'] as string) as unknown[])
    const skipped = from * ITEMS_PER_BLOCK
    return items.slice(first - skipped, last - skipped + 1)
  }
}
