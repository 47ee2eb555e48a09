import type { ErrorDocument, JobPhase, JournalDatabase } from '@manyhands/core'
import type { JobDocument } from '../job-document.ts'

/** A job as the journal has it. */
export interface JobRow {
  id: string
  key: string | undefined
  name: string
  /** Hash of what was submitted: the same key with another spec is a conflict. */
  specHash: string
  phase: JobPhase
  submittedAt: string
  document: JobDocument
  /** Whether every item of its source is a task in the journal. */
  sourceDone: boolean
  /** Why it ended as it did, once it has. */
  error: ErrorDocument | undefined
  /** What its earlier processes measured. */
  spent: JobSpent
}

/** What a job has taken so far. */
export interface JobSpent {
  bytesUp: number
  bytesDown: number
  durationMs: number
}

/** An input of a job that is not over: by reference when it has a path, else in the client's store. */
export interface JobInputRow {
  root: string
  path: string | undefined
}

export interface JobMove {
  phase: JobPhase
  error?: ErrorDocument
  spent: JobSpent
}

export const JOB_SCHEMA = `
  CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY, key TEXT UNIQUE, name TEXT NOT NULL, spec_hash TEXT NOT NULL,
    phase TEXT NOT NULL, submitted_at TEXT NOT NULL, document TEXT NOT NULL,
    source_done INTEGER NOT NULL DEFAULT 0, error TEXT, spent TEXT
  ) STRICT;
  CREATE INDEX IF NOT EXISTS jobs_open ON jobs (id) WHERE phase IN ('queued', 'running', 'paused');
  CREATE TABLE IF NOT EXISTS inputs (
    job TEXT NOT NULL, root TEXT NOT NULL, path TEXT, PRIMARY KEY (job, root)
  ) STRICT, WITHOUT ROWID;
`

/** The jobs of a client, and what each of them needs from this computer. */
export interface JobRows {
  /** Inside a transaction of the journal, which fails when its key is taken. */
  insert(job: Omit<JobRow, 'error' | 'sourceDone' | 'spent'>): void
  /** Forgets a job that was never acknowledged to anybody, with its tasks. */
  remove(id: string): Promise<void>
  get(id: string): JobRow | undefined
  byKey(key: string): JobRow | undefined
  /** Newest first. */
  newest(limit: number): JobRow[]
  /** Those that are not over. */
  open(): JobRow[]
  moved(id: string, to: JobMove): Promise<void>
  /** As {@link moved}, inside a transaction of the journal. */
  move(id: string, to: JobMove): void
  /** Inside a transaction of the journal. */
  markSourceDone(id: string): void
  /** Inside a transaction of the journal. */
  insertInputs(id: string, inputs: JobInputRow[]): void
  /** Where these lie now. Inside a transaction of the journal. */
  replaceInputs(id: string, inputs: JobInputRow[]): void
  /** Inside a transaction of the journal. */
  deleteInputs(id: string, roots: string[]): void
  inputs(id: string): JobInputRow[]
}

export class SqliteJobRows implements JobRows {
  readonly #database: JournalDatabase

  constructor(database: JournalDatabase) {
    this.#database = database
  }

  insert(job: Omit<JobRow, 'error' | 'sourceDone' | 'spent'>): void {
    const { id, key, name, specHash, phase, submittedAt, document } = job
    this.#database
      .prepare(
        `INSERT INTO jobs (id, key, name, spec_hash, phase, submitted_at, document)
         VALUES (?,?,?,?,?,?,?)`,
      )
      .run(id, key ?? null, name, specHash, phase, submittedAt, JSON.stringify(document))
  }

  remove(id: string): Promise<void> {
    return this.#database.transact(() => {
      const tables = [
        'needs',
        'tasks',
        'inputs',
        'checks',
        'ownership',
        'task_checkpoints',
        'split_items',
      ]
      for (const table of tables) {
        this.#database.prepare(`DELETE FROM ${table} WHERE job = ?`).run(id)
      }
      this.#database.prepare('DELETE FROM jobs WHERE id = ?').run(id)
    })
  }

  get(id: string): JobRow | undefined {
    return rowOf(this.#database.prepare('SELECT * FROM jobs WHERE id = ?').get(id))
  }

  byKey(key: string): JobRow | undefined {
    return rowOf(this.#database.prepare('SELECT * FROM jobs WHERE key = ?').get(key))
  }

  newest(limit: number): JobRow[] {
    return this.#database
      .prepare('SELECT * FROM jobs ORDER BY id DESC LIMIT ?')
      .all(limit)
      .map((row) => rowOf(row)!)
  }

  open(): JobRow[] {
    return this.#database
      .prepare("SELECT * FROM jobs WHERE phase IN ('queued', 'running', 'paused') ORDER BY id")
      .all()
      .map((row) => rowOf(row)!)
  }

  moved(id: string, to: JobMove): Promise<void> {
    return this.#database.transact(() => this.move(id, to))
  }

  move(id: string, { phase, error, spent }: JobMove): void {
    this.#database
      .prepare('UPDATE jobs SET phase = ?, error = ?, spent = ? WHERE id = ?')
      .run(phase, error === undefined ? null : JSON.stringify(error), JSON.stringify(spent), id)
  }

  markSourceDone(id: string): void {
    this.#database.prepare('UPDATE jobs SET source_done = 1 WHERE id = ?').run(id)
  }

  insertInputs(id: string, inputs: JobInputRow[]): void {
    const insert = this.#database.prepare('INSERT OR IGNORE INTO inputs VALUES (?,?,?)')
    for (const { root, path } of inputs) insert.run(id, root, path ?? null)
  }

  replaceInputs(id: string, inputs: JobInputRow[]): void {
    const replace = this.#database.prepare('INSERT OR REPLACE INTO inputs VALUES (?,?,?)')
    for (const { root, path } of inputs) replace.run(id, root, path ?? null)
  }

  deleteInputs(id: string, roots: string[]): void {
    const remove = this.#database.prepare('DELETE FROM inputs WHERE job = ? AND root = ?')
    for (const root of roots) remove.run(id, root)
  }

  inputs(id: string): JobInputRow[] {
    return this.#database
      .prepare('SELECT root, path FROM inputs WHERE job = ?')
      .all(id)
      .map((row) => ({
        root: row['root'] as string,
        path: (row['path'] as string | null) ?? undefined,
      }))
  }
}

const NOTHING_SPENT: JobSpent = { bytesUp: 0, bytesDown: 0, durationMs: 0 }

function rowOf(row: Record<string, unknown> | undefined): JobRow | undefined {
  if (row === undefined) return undefined
  const text = (name: string) => (row[name] as string | null) ?? undefined
  const error = text('error')
  const spent = text('spent')
  return {
    id: row['id'] as string,
    key: text('key'),
    name: row['name'] as string,
    specHash: row['spec_hash'] as string,
    phase: row['phase'] as JobPhase,
    submittedAt: row['submitted_at'] as string,
    document: JSON.parse(row['document'] as string),
    sourceDone: row['source_done'] === 1,
    error: error === undefined ? undefined : JSON.parse(error),
    spent: spent === undefined ? NOTHING_SPENT : JSON.parse(spent),
  }
}
