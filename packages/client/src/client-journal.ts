import { randomBytes } from 'node:crypto'
import {
  type JobPhase,
  type JournalDatabase,
  openJournalDatabase,
  type TaskPhase,
} from '@manyhands/core'

/** A job as the journal has it. */
export interface JournaledJob {
  id: string
  key: string | undefined
  name: string
  /** Hash of what was submitted: the same key with another spec is a conflict. */
  specHash: string
  phase: JobPhase
  submittedAt: string
}

/** An accepted end of a task: everything but the outputs' bytes. */
export interface JournaledResult {
  index: number
  key: string
  /** JSON of the item. */
  item: string
  /** JSON of the TaskResult without its item and outputs. */
  document: string
  outputs: string | undefined
}

/**
 * The client's memory: jobs, and for every task its epoch before an attempt leaves and its result
 * before the host is told that it may forget. Accepting a result twice is impossible: one row per
 * task, and only a row that is not terminal changes.
 */
export interface ClientJournal {
  addJob(job: JournaledJob): Promise<void>
  jobs(): JournaledJob[]
  jobByKey(key: string): JournaledJob | undefined
  setJobPhase(id: string, phase: JobPhase): Promise<void>
  addTasks(job: string, tasks: { index: number; key: string; item: string }[]): Promise<void>
  hasTask(job: string, key: string): boolean
  /** Before the offer leaves. */
  dispatched(job: string, tasks: { key: string; epoch: number }[]): Promise<void>
  /** Resolves true when this end was accepted, false when the task had ended before. */
  accept(job: string, phase: TaskPhase, result: Omit<JournaledResult, 'item'>): Promise<boolean>
  /** Results in completion order after a position; the position of the last one is `at`. */
  resultsAfter(job: string, at: number, limit: number): (JournaledResult & { at: number })[]
  resultAt(job: string, index: number): JournaledResult | undefined
  counts(job: string): Record<string, number>
  /** Artifacts that are outputs of results, each once for every job. */
  outputs(): { job: string; root: string }[]
  close(): Promise<void>
}

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY, key TEXT UNIQUE, name TEXT NOT NULL, spec_hash TEXT NOT NULL,
    phase TEXT NOT NULL, submitted_at TEXT NOT NULL
  ) STRICT;
  CREATE TABLE IF NOT EXISTS tasks (
    job TEXT NOT NULL, idx INTEGER NOT NULL, key TEXT NOT NULL, item TEXT NOT NULL,
    phase TEXT NOT NULL, epoch INTEGER NOT NULL DEFAULT 0,
    completion INTEGER, document TEXT, outputs TEXT,
    PRIMARY KEY (job, key)
  ) STRICT, WITHOUT ROWID;
  CREATE UNIQUE INDEX IF NOT EXISTS tasks_by_index ON tasks (job, idx);
  CREATE INDEX IF NOT EXISTS tasks_by_completion ON tasks (job, completion) WHERE completion IS NOT NULL;
`

/** Opens the journal in a file, or in memory. @throws STATE_LOCKED, STATE_CORRUPT */
export function openClientJournal(path: string | undefined): ClientJournal {
  return new SqliteClientJournal(openJournalDatabase(path, SCHEMA, 1))
}

/** Sortable by time, unique without asking anyone. */
export function newJobId(): string {
  return `${Date.now().toString(36)}-${randomBytes(5).toString('hex')}`
}

class SqliteClientJournal implements ClientJournal {
  readonly #database: JournalDatabase
  #completions: number

  constructor(database: JournalDatabase) {
    this.#database = database
    const last = database.prepare('SELECT max(completion) AS last FROM tasks').get()
    this.#completions = (last?.['last'] as number | null) ?? 0
  }

  addJob(job: JournaledJob): Promise<void> {
    const { id, key, name, specHash, phase, submittedAt } = job
    return this.#database.write(
      'INSERT INTO jobs (id, key, name, spec_hash, phase, submitted_at) VALUES (?,?,?,?,?,?)',
      id,
      key ?? null,
      name,
      specHash,
      phase,
      submittedAt,
    )
  }

  jobs(): JournaledJob[] {
    return this.#database.prepare('SELECT * FROM jobs ORDER BY id DESC').all().map(jobOf)
  }

  jobByKey(key: string): JournaledJob | undefined {
    const row = this.#database.prepare('SELECT * FROM jobs WHERE key = ?').get(key)
    return row === undefined ? undefined : jobOf(row)
  }

  setJobPhase(id: string, phase: JobPhase): Promise<void> {
    return this.#database.write('UPDATE jobs SET phase = ? WHERE id = ?', phase, id)
  }

  addTasks(job: string, tasks: { index: number; key: string; item: string }[]): Promise<void> {
    return this.#database.transact(() => {
      const insert = this.#database.prepare(
        "INSERT INTO tasks (job, idx, key, item, phase) VALUES (?,?,?,?,'queued')",
      )
      for (const { index, key, item } of tasks) insert.run(job, index, key, item)
    })
  }

  hasTask(job: string, key: string): boolean {
    return (
      this.#database.prepare('SELECT 1 FROM tasks WHERE job = ? AND key = ?').get(job, key) !==
      undefined
    )
  }

  dispatched(job: string, tasks: { key: string; epoch: number }[]): Promise<void> {
    return this.#database.transact(() => {
      const update = this.#database.prepare(
        "UPDATE tasks SET phase = 'running', epoch = ? WHERE job = ? AND key = ?",
      )
      for (const { key, epoch } of tasks) update.run(epoch, job, key)
    })
  }

  async accept(
    job: string,
    phase: TaskPhase,
    result: Omit<JournaledResult, 'item'>,
  ): Promise<boolean> {
    let accepted = false
    await this.#database.transact(() => {
      const changes = this.#database
        .prepare(
          `UPDATE tasks SET phase = ?, completion = ?, document = ?, outputs = ?
           WHERE job = ? AND key = ? AND completion IS NULL`,
        )
        .run(
          phase,
          this.#completions + 1,
          result.document,
          result.outputs ?? null,
          job,
          result.key,
        ).changes
      accepted = Number(changes) === 1
      if (accepted) this.#completions += 1
    })
    return accepted
  }

  resultsAfter(job: string, at: number, limit: number): (JournaledResult & { at: number })[] {
    return this.#database
      .prepare(
        `SELECT idx, key, item, document, outputs, completion FROM tasks
         WHERE job = ? AND completion > ? ORDER BY completion LIMIT ?`,
      )
      .all(job, at, limit)
      .map((row) => ({ ...resultOf(row), at: row['completion'] as number }))
  }

  resultAt(job: string, index: number): JournaledResult | undefined {
    const row = this.#database
      .prepare(
        `SELECT idx, key, item, document, outputs FROM tasks
         WHERE job = ? AND idx = ? AND completion IS NOT NULL`,
      )
      .get(job, index)
    return row === undefined ? undefined : resultOf(row)
  }

  counts(job: string): Record<string, number> {
    const rows = this.#database
      .prepare('SELECT phase, count(*) AS n FROM tasks WHERE job = ? GROUP BY phase')
      .all(job)
    return Object.fromEntries(rows.map((row) => [row['phase'] as string, row['n'] as number]))
  }

  outputs(): { job: string; root: string }[] {
    return this.#database
      .prepare(
        "SELECT DISTINCT job, outputs FROM tasks WHERE outputs IS NOT NULL AND outputs <> ''",
      )
      .all()
      .map((row) => ({ job: row['job'] as string, root: row['outputs'] as string }))
  }

  close(): Promise<void> {
    return this.#database.close()
  }
}

type Row = Record<string, unknown>

function jobOf(row: Row): JournaledJob {
  return {
    id: row['id'] as string,
    key: (row['key'] as string | null) ?? undefined,
    name: row['name'] as string,
    specHash: row['spec_hash'] as string,
    phase: row['phase'] as JobPhase,
    submittedAt: row['submitted_at'] as string,
  }
}

function resultOf(row: Row): JournaledResult {
  return {
    index: row['idx'] as number,
    key: row['key'] as string,
    item: row['item'] as string,
    document: row['document'] as string,
    outputs: (row['outputs'] as string | null) ?? undefined,
  }
}
