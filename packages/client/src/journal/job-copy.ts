import { type JournalDatabase, LIMITS, ManyhandsError } from '@manyhands/core'

const TABLES = {
  tasks: [
    ...['idx', 'key', 'item', 'overrides', 'phase', 'epoch', 'dispatches', 'failures', 'live'],
    ...['waits', 'turn', 'completion', 'document', 'outputs', 'held'],
  ],
  needs: ['need', 'key', 'data'],
  inputs: ['root', 'path'],
  split_items: ['block', 'items'],
} as const

export type CopiedRow = (string | number | null)[]

/** The rows of one job beside its own, column by column as the tables have them. */
export type JobCopy = Record<keyof typeof TABLES, CopiedRow[]>

/** How many columns each row has. */
export const COPIED_COLUMNS = {
  tasks: TABLES.tasks.length,
  needs: TABLES.needs.length,
  inputs: TABLES.inputs.length,
  split_items: TABLES.split_items.length,
} as const

/** Takes a job out of one journal as it is, and puts it into another one. */
export interface JobCopies {
  /** @throws LIMIT for a job of more tasks than an owner key may tell of */
  read(job: string): JobCopy
  /** Inside a transaction of the journal. */
  insert(job: string, copy: JobCopy): void
}

export class SqliteJobCopies implements JobCopies {
  readonly #database: JournalDatabase
  /** Completions are counted over all jobs of a journal. */
  readonly #completed: (count: number) => number

  /** @param completed - reserves so many places in the order of completion, and says what is before them */
  constructor(database: JournalDatabase, completed: (count: number) => number) {
    this.#database = database
    this.#completed = completed
  }

  read(job: string): JobCopy {
    const count = this.#database
      .prepare('SELECT count(*) AS n FROM tasks WHERE job = ?')
      .get(job)?.['n'] as number
    if (count > LIMITS.tasksPerOwnerKey) {
      throw new ManyhandsError(
        'LIMIT',
        `job ${job} has ${count} tasks in its journal, more than the ${LIMITS.tasksPerOwnerKey} of an owner key`,
        { hint: 'Take the key soon after submitting: a range is read as there is work for it.' },
      )
    }
    const rows = (table: keyof typeof TABLES, order: string) =>
      this.#database
        .prepare(`SELECT ${TABLES[table].join(', ')} FROM ${table} WHERE job = ? ORDER BY ${order}`)
        .all(job)
        .map((row) => TABLES[table].map((column) => row[column] as string | number | null))
    return {
      tasks: rows('tasks', 'completion, turn, idx'),
      needs: rows('needs', 'need, key'),
      inputs: rows('inputs', 'root'),
      split_items: rows('split_items', 'block'),
    }
  }

  insert(job: string, copy: JobCopy): void {
    const completion = TABLES.tasks.indexOf('completion')
    const over = copy.tasks.filter((row) => row[completion] !== null).length
    let last = this.#completed(over)
    for (const [table, columns] of Object.entries(TABLES)) {
      const insert = this.#database.prepare(
        `INSERT INTO ${table} (job, ${columns.join(', ')}) VALUES (?${', ?'.repeat(columns.length)})`,
      )
      for (const row of copy[table as keyof typeof TABLES]) {
        const values = [...row]
        if (table === 'tasks' && values[completion] !== null) {
          last += 1
          values[completion] = last
        }
        insert.run(job, ...values)
      }
    }
  }
}
