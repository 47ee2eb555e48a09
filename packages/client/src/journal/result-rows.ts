import type { JournalDatabase, TaskPhase } from '@manyhands/core'

/** An accepted end of a task: everything but the outputs' bytes. */
export interface ResultRow {
  index: number
  key: string
  item: string
  phase: TaskPhase
  /** JSON of the TaskResult without its item and outputs. */
  document: string
  outputs: string | undefined
  /** Where the outputs are, when they are not here. */
  held: HeldAt | undefined
}

/** An attempt whose outputs stay at its host. */
export interface HeldAt {
  host: string
  attempt: string
  /** All of them together. */
  bytes: number
}

/** What became of tasks, for those who read it. */
export interface ResultRows {
  /** Results in completion order after a position; the position of the last one is `at`. */
  after(job: string, at: number, limit: number): (ResultRow & { at: number })[]
  at(job: string, index: number): ResultRow | undefined
  of(job: string, key: string): ResultRow | undefined
  /** Results whose outputs are at hosts, of jobs that are not over. */
  held(): { job: string; key: string; held: HeldAt }[]
  /** The outputs of a result, which are not here, are at a host. */
  foundAt(job: string, key: string, held: HeldAt): Promise<void>
  /** The outputs of a result are here now. */
  broughtHome(job: string, key: string, held: HeldAt): Promise<void>
  /** Tasks by phase. */
  counts(job: string): Partial<Record<TaskPhase, number>>
  /** The numbers of a range that was cut, by what became of them. */
  cutCounts(job: string): Partial<Record<TaskPhase, number>>
  /** Artifacts that are outputs of results, each once for every job; of one job, or of all. */
  outputs(job?: string): { job: string; root: string }[]
}

export class SqliteResultRows implements ResultRows {
  readonly #database: JournalDatabase

  constructor(database: JournalDatabase) {
    this.#database = database
  }

  after(job: string, at: number, limit: number): (ResultRow & { at: number })[] {
    return this.#database
      .prepare(
        `SELECT idx, key, item, phase, document, outputs, held, completion FROM tasks
         WHERE job = ? AND completion > ? ORDER BY completion LIMIT ?`,
      )
      .all(job, at, limit)
      .map((row) => ({ ...rowOf(row), at: row['completion'] as number }))
  }

  at(job: string, index: number): ResultRow | undefined {
    const row = this.#database
      .prepare(
        `SELECT idx, key, item, phase, document, outputs, held FROM tasks
         WHERE job = ? AND idx = ? AND completion IS NOT NULL`,
      )
      .get(job, index)
    return row === undefined ? undefined : rowOf(row)
  }

  of(job: string, key: string): ResultRow | undefined {
    const row = this.#database
      .prepare(
        `SELECT idx, key, item, phase, document, outputs, held FROM tasks
         WHERE job = ? AND key = ? AND completion IS NOT NULL`,
      )
      .get(job, key)
    return row === undefined ? undefined : rowOf(row)
  }

  held(): { job: string; key: string; held: HeldAt }[] {
    return this.#database
      .prepare(
        `SELECT job, tasks.key, held FROM tasks JOIN jobs ON jobs.id = tasks.job
         WHERE held IS NOT NULL AND jobs.phase IN ('queued', 'running', 'paused')`,
      )
      .all()
      .map((row) => ({
        job: row['job'] as string,
        key: row['key'] as string,
        held: JSON.parse(row['held'] as string),
      }))
  }

  foundAt(job: string, key: string, held: HeldAt): Promise<void> {
    return this.#database.write(
      'UPDATE tasks SET held = ? WHERE job = ? AND key = ? AND completion IS NOT NULL AND held IS NULL',
      JSON.stringify(held),
      job,
      key,
    )
  }

  broughtHome(job: string, key: string, { attempt }: HeldAt): Promise<void> {
    return this.#database.write(
      "UPDATE tasks SET held = NULL WHERE job = ? AND key = ? AND held ->> '$.attempt' = ?",
      job,
      key,
      attempt,
    )
  }

  counts(job: string): Partial<Record<TaskPhase, number>> {
    const rows = this.#database
      .prepare('SELECT phase, count(*) AS n FROM tasks WHERE job = ? GROUP BY phase')
      .all(job)
    return Object.fromEntries(rows.map((row) => [row['phase'] as string, row['n'] as number]))
  }

  cutCounts(job: string): Partial<Record<TaskPhase, number>> {
    const rows = this.#database
      .prepare(
        `SELECT phase, sum(item ->> '$.count') AS n FROM tasks
         WHERE job = ? AND completion IS NOT NULL GROUP BY phase`,
      )
      .all(job)
    return Object.fromEntries(rows.map((row) => [row['phase'] as string, row['n'] as number]))
  }

  outputs(job?: string): { job: string; root: string }[] {
    return this.#database
      .prepare(
        "SELECT DISTINCT job, outputs FROM tasks WHERE job = coalesce(?, job) AND outputs <> ''",
      )
      .all(job ?? null)
      .map((row) => ({ job: row['job'] as string, root: row['outputs'] as string }))
  }
}

type Row = Record<string, unknown>

function rowOf(row: Row): ResultRow {
  return {
    index: row['idx'] as number,
    key: row['key'] as string,
    item: row['item'] as string,
    phase: row['phase'] as TaskPhase,
    document: row['document'] as string,
    outputs: (row['outputs'] as string | null) ?? undefined,
    held: row['held'] === null ? undefined : JSON.parse(row['held'] as string),
  }
}
