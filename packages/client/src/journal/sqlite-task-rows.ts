import type { JournalDatabase, TaskPhase } from '@manyhands/core'
import type { TaskPlaces } from './task-places.ts'
import type { AcceptedEnd, NewTask, TaskRow, TaskRows } from './task-rows.ts'

export const TASK_SCHEMA = `
  CREATE TABLE IF NOT EXISTS tasks (
    job TEXT NOT NULL, idx INTEGER NOT NULL, key TEXT NOT NULL, item TEXT NOT NULL, overrides TEXT,
    phase TEXT NOT NULL, epoch INTEGER NOT NULL DEFAULT 0, dispatches INTEGER NOT NULL DEFAULT 0,
    failures INTEGER NOT NULL DEFAULT 0, live TEXT, waits INTEGER NOT NULL DEFAULT 0, turn INTEGER,
    completion INTEGER, document TEXT, outputs TEXT, held TEXT,
    PRIMARY KEY (job, key)
  ) STRICT, WITHOUT ROWID;
  CREATE UNIQUE INDEX IF NOT EXISTS tasks_by_index ON tasks (job, idx);
  CREATE INDEX IF NOT EXISTS tasks_by_turn ON tasks (job, turn) WHERE turn IS NOT NULL;
  CREATE INDEX IF NOT EXISTS tasks_queued ON tasks (job, idx) WHERE phase = 'queued';
  CREATE INDEX IF NOT EXISTS tasks_out ON tasks (job) WHERE phase = 'running';
  DROP INDEX IF EXISTS tasks_by_completion;
  CREATE INDEX IF NOT EXISTS tasks_held ON tasks (job) WHERE held IS NOT NULL;
  CREATE INDEX IF NOT EXISTS tasks_completed ON tasks (job, completion) WHERE completion IS NOT NULL;
`

const COLUMNS = 'idx, key, item, overrides, phase, epoch, dispatches, failures, live, turn'

export class SqliteTaskRows implements TaskRows {
  readonly #database: JournalDatabase
  readonly #places: TaskPlaces

  constructor(database: JournalDatabase, places: TaskPlaces) {
    this.#database = database
    this.#places = places
  }

  insert(job: string, tasks: NewTask[]): TaskRow[] {
    const waiting: TaskRow[] = []
    const insert = this.#database.prepare(
      `INSERT INTO tasks (job, idx, key, item, overrides, phase, waits, turn, completion, document)
         VALUES (?,?,?,?,?,?,?,?,?,?)`,
    )
    const need = this.#database.prepare('INSERT INTO needs VALUES (?,?,?,?)')
    const met = this.#database.prepare(
      "SELECT 1 FROM tasks WHERE job = ? AND key = ? AND phase = 'completed'",
    )
    for (const { index, key, item, overrides, needs, takes, failed } of tasks) {
      let waits = 0
      if (needs.length > 0) this.#places.needing(job)
      for (const name of needs) {
        need.run(job, name, key, takes.includes(name) ? 1 : 0)
        if (met.get(job, name) === undefined) waits += 1
      }
      const over = failed !== undefined
      const turn = over || waits > 0 ? null : this.#places.nextTurn(job)
      insert.run(
        job,
        index,
        key,
        item,
        overrides ?? null,
        over ? 'failed' : 'queued',
        waits,
        turn,
        over ? this.#places.nextCompletion() : null,
        failed ?? null,
      )
      if (turn === null) continue
      const unsent = { phase: 'queued', epoch: 0, dispatches: 0, failures: 0 } as const
      waiting.push({ index, key, item, overrides, ...unsent, live: [], turn })
    }
    return waiting
  }

  insertCut(job: string, tasks: Pick<NewTask, 'index' | 'key' | 'item'>[]): void {
    const insert = this.#database.prepare(
      `INSERT INTO tasks (job, idx, key, item, phase) VALUES (?,?,?,?,'running')
       ON CONFLICT (job, key) DO NOTHING`,
    )
    for (const { index, key, item } of tasks) insert.run(job, index, key, item)
  }

  has(job: string, key: string): boolean {
    return this.phaseOf(job, key) !== undefined
  }

  phaseOf(job: string, key: string): TaskPhase | undefined {
    const row = this.#database
      .prepare('SELECT phase FROM tasks WHERE job = ? AND key = ?')
      .get(job, key)
    return row?.['phase'] as TaskPhase | undefined
  }

  open(job: string, key: string): TaskRow | undefined {
    const row = this.#database
      .prepare(`SELECT ${COLUMNS} FROM tasks WHERE job = ? AND key = ? AND completion IS NULL`)
      .get(job, key)
    return row === undefined ? undefined : taskOf(row)
  }

  read(job: string): number {
    const row = this.#database.prepare('SELECT max(idx) AS last FROM tasks WHERE job = ?').get(job)
    return ((row?.['last'] as number | null) ?? -1) + 1
  }

  waiting(job: string, after: number, limit: number): TaskRow[] {
    return this.#database
      .prepare(
        `SELECT ${COLUMNS} FROM tasks
         WHERE job = ? AND turn > ? AND phase = 'queued' ORDER BY turn LIMIT ?`,
      )
      .all(job, after, limit)
      .map(taskOf)
  }

  lastTurn(job: string): number {
    return this.#places.lastTurn(job)
  }

  unmet(job: string, key: string): number {
    return this.#places.unmet(job, key)
  }

  queued(job: string, limit: number): { index: number; key: string }[] {
    return this.#database
      .prepare("SELECT idx, key FROM tasks WHERE job = ? AND phase = 'queued' ORDER BY idx LIMIT ?")
      .all(job, limit)
      .map((row) => ({ index: row['idx'] as number, key: row['key'] as string }))
  }

  out(job: string): TaskRow[] {
    return this.#database
      .prepare(`SELECT ${COLUMNS} FROM tasks WHERE job = ? AND phase = 'running'`)
      .all(job)
      .map(taskOf)
  }

  dispatched(
    job: string,
    tasks: Pick<TaskRow, 'key' | 'epoch' | 'dispatches' | 'failures' | 'live'>[],
  ): void {
    const update = this.#database.prepare(
      `UPDATE tasks SET phase = 'running', epoch = ?, dispatches = ?, failures = ?, live = ?
       WHERE job = ? AND key = ? AND completion IS NULL`,
    )
    for (const { key, epoch, dispatches, failures, live } of tasks) {
      update.run(epoch, dispatches, failures, JSON.stringify(live), job, key)
    }
  }

  async accept(
    job: string,
    ends: AcceptedEnd[],
    outrun: string[] = [],
  ): Promise<{ accepted: boolean[]; woken: boolean }> {
    let accepted: boolean[] = []
    let woken = false
    await this.#database.transact(() => {
      accepted = []
      woken = false
      for (const { key, phase, document, outputs, held, index, item, when } of ends) {
        if (when?.() === false) {
          accepted.push(false)
          continue
        }
        const { changes } = this.#database
          .prepare(
            `UPDATE tasks SET phase = ?, completion = ?, document = ?, outputs = ?,
               held = ?, live = NULL, idx = coalesce(?, idx), item = coalesce(?, item)
             WHERE job = ? AND key = ? AND completion IS NULL`,
          )
          .run(
            phase,
            this.#places.nextCompletion(),
            document,
            outputs ?? null,
            held === undefined ? null : JSON.stringify(held),
            index ?? null,
            item ?? null,
            job,
            key,
          )
        const taken = Number(changes) === 1
        accepted.push(taken)
        if (!taken) continue
        if (phase === 'completed' && this.#places.wake(job, key)) woken = true
      }
      if (accepted.includes(true)) this.#drop(job, outrun)
    })
    return { accepted, woken }
  }

  retry(job: string): number {
    const over = this.#database
      .prepare(
        `SELECT key FROM tasks WHERE job = ? AND (phase = 'failed'
           OR (phase = 'canceled' AND document ->> '$.error.code' = 'NEED_FAILED'))`,
      )
      .all(job)
      .map((row) => row['key'] as string)
    const reset = this.#database.prepare(
      `UPDATE tasks SET phase = 'queued', completion = NULL, document = NULL, outputs = NULL,
         held = NULL, live = NULL, dispatches = 0, failures = 0, turn = NULL WHERE job = ? AND key = ?`,
    )
    const place = this.#database.prepare(
      'UPDATE tasks SET waits = ?, turn = ? WHERE job = ? AND key = ?',
    )
    for (const key of over) reset.run(job, key)
    for (const key of over) {
      const waits = this.#places.unmet(job, key)
      place.run(waits, waits > 0 ? null : this.#places.nextTurn(job), job, key)
    }
    return over.length
  }

  get(job: string, key: string): TaskRow | undefined {
    const row = this.#database
      .prepare(`SELECT ${COLUMNS} FROM tasks WHERE job = ? AND key = ?`)
      .get(job, key)
    return row === undefined ? undefined : taskOf(row)
  }

  async retract(job: string, key: string): Promise<boolean> {
    let retracted = false
    await this.#database.transact(() => {
      retracted = this.phaseOf(job, key) === 'completed'
      if (!retracted) return
      const waits = this.#places.unmet(job, key)
      this.#database
        .prepare(
          `UPDATE tasks SET phase = 'queued', completion = NULL, document = NULL, outputs = NULL,
             held = NULL, dispatches = 0, waits = ?, turn = ? WHERE job = ? AND key = ?`,
        )
        .run(waits, waits > 0 ? null : this.#places.nextTurn(job), job, key)
      this.#database
        .prepare(
          `UPDATE tasks SET waits = waits + 1, turn = NULL WHERE job = ? AND phase = 'queued'
             AND key IN (SELECT key FROM needs WHERE job = ? AND need = ? AND data = 1)`,
        )
        .run(job, job, key)
    })
    return retracted
  }

  requeue(
    job: string,
    { key, dispatches, failures }: Pick<TaskRow, 'key' | 'dispatches' | 'failures'>,
  ): Promise<void> {
    return this.#database.transact(() => {
      const waits = this.#places.unmet(job, key)
      this.#database
        .prepare(
          `UPDATE tasks SET phase = 'queued', live = NULL, dispatches = ?, failures = ?, waits = ?, turn = ?
           WHERE job = ? AND key = ? AND completion IS NULL`,
        )
        .run(dispatches, failures, waits, waits > 0 ? null : this.#places.nextTurn(job), job, key)
    })
  }

  drop(job: string, keys: string[]): Promise<void> {
    return this.#database.transact(() => this.#drop(job, keys))
  }

  #drop(job: string, keys: string[]): void {
    const drop = this.#database.prepare(
      'DELETE FROM tasks WHERE job = ? AND key = ? AND completion IS NULL',
    )
    for (const key of keys) drop.run(job, key)
  }

  dropFailed(job: string): { key: string; item: string }[] {
    return this.#database
      .prepare(
        "DELETE FROM tasks WHERE job = ? AND phase IN ('failed', 'canceled') RETURNING key, item",
      )
      .all(job)
      .map((row) => ({ key: row['key'] as string, item: row['item'] as string }))
  }

  cut(job: string) {
    return this.#database.prepare(`SELECT ${COLUMNS} FROM tasks WHERE job = ?`).all(job).map(taskOf)
  }
}

type Row = Record<string, unknown>

function taskOf(row: Row): TaskRow {
  const live = row['live'] as string | null
  return {
    index: row['idx'] as number,
    key: row['key'] as string,
    item: row['item'] as string,
    overrides: (row['overrides'] as string | null) ?? undefined,
    phase: row['phase'] as TaskPhase,
    epoch: row['epoch'] as number,
    dispatches: row['dispatches'] as number,
    failures: row['failures'] as number,
    live: live === null ? [] : JSON.parse(live),
    turn: row['turn'] as number,
  }
}
