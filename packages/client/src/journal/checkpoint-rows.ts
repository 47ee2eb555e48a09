import type { JournalDatabase } from '@manyhands/core'

export const CHECKPOINT_SCHEMA = `
  CREATE TABLE IF NOT EXISTS task_checkpoints (
    job TEXT NOT NULL, key TEXT NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL, root TEXT,
    bytes INTEGER NOT NULL, starts INTEGER NOT NULL, continued INTEGER NOT NULL, attempt TEXT NOT NULL,
    host TEXT NOT NULL,
    PRIMARY KEY (job, key)
  ) STRICT, WITHOUT ROWID;
`

/** Where a task goes on when it is sent out again. */
export interface CheckpointRow {
  job: string
  key: string
  /** Of the attempt that made it; a later one's is newer. */
  epoch: number
  /** Its place among those of that attempt. */
  seq: number
  /** Of the files; undefined when it was dropped, and the task begins with nothing. */
  root: string | undefined
  bytes: number
  /** Attempts that began with it and failed without making another one. */
  starts: number
  /** Times the task asked to be continued. */
  continued: number
  /** The attempt that made it, and where. */
  attempt: string
  host: string
}

/** The newest complete checkpoint of each task that is not over: at most one. */
export interface CheckpointRows {
  /** Those of tasks that are not over, of jobs that are not over. */
  open(): CheckpointRow[]
  /** In the place of the one before, in one step. */
  put(row: CheckpointRow): Promise<void>
  remove(job: string, key: string): Promise<void>
}

export class SqliteCheckpointRows implements CheckpointRows {
  readonly #database: JournalDatabase

  constructor(database: JournalDatabase) {
    this.#database = database
  }

  open(): CheckpointRow[] {
    return this.#database
      .prepare(
        `SELECT saved.* FROM task_checkpoints AS saved
         JOIN tasks ON tasks.job = saved.job AND tasks.key = saved.key
         JOIN jobs ON jobs.id = saved.job
         WHERE completion IS NULL AND jobs.phase IN ('queued', 'running', 'paused')`,
      )
      .all()
      .map((row) => ({
        job: row['job'] as string,
        key: row['key'] as string,
        epoch: row['epoch'] as number,
        seq: row['seq'] as number,
        root: (row['root'] as string | null) ?? undefined,
        bytes: row['bytes'] as number,
        starts: row['starts'] as number,
        continued: row['continued'] as number,
        attempt: row['attempt'] as string,
        host: row['host'] as string,
      }))
  }

  put({ job, key, epoch, seq, root, bytes, starts, continued, attempt, host }: CheckpointRow) {
    return this.#database.write(
      'INSERT OR REPLACE INTO task_checkpoints VALUES (?,?,?,?,?,?,?,?,?,?)',
      ...[job, key, epoch, seq, root ?? null, bytes, starts, continued, attempt, host],
    )
  }

  remove(job: string, key: string): Promise<void> {
    return this.#database.write('DELETE FROM task_checkpoints WHERE job = ? AND key = ?', job, key)
  }
}
