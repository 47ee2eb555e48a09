import type { JournalDatabase, TaskPhase } from '@manyhands/core'
import type { TaskPlaces } from './task-places.ts'
import type { TaskRows } from './task-rows.ts'

/** What a check changes in results that were accepted already. */
export interface Revision {
  /** Another host's result in the place of the task's own; with `again` it is read once more. */
  replace?: { key: string; document: string; outputs: string | undefined; again: boolean }
  /** Tasks whose results do not count any more, nor what others made of them. */
  undo: readonly string[]
  /** Tasks whose results stand, while what others made of them does not count any more. */
  undoTakers?: readonly string[]
  /** A task that has failed, whatever it had: with its result. */
  fail?: { key: string; document: string }
}

/** A task that runs again, and what it was before. */
export interface Undone {
  key: string
  was: TaskPhase
}

export interface Revised {
  replaced: boolean
  failed: boolean
  undone: Undone[]
}

export interface RevisionRows {
  /** All of it; inside a transaction of the journal. */
  revise(job: string, revision: Revision): Revised
}

export class SqliteRevisionRows implements RevisionRows {
  readonly #database: JournalDatabase
  readonly #tasks: TaskRows
  readonly #places: TaskPlaces

  constructor(database: JournalDatabase, tasks: TaskRows, places: TaskPlaces) {
    this.#database = database
    this.#tasks = tasks
    this.#places = places
  }

  revise(job: string, { replace, undo, undoTakers = [], fail }: Revision): Revised {
    const replaced = replace !== undefined && this.#replace(job, replace)
    const takers = undoTakers.flatMap((key) => this.#takers(job, key))
    const undone = this.#affected(job, [...undo, ...takers])
    for (const { key } of undone) this.#reset(job, key)
    const waiting = undone.flatMap(({ key }) => this.#takers(job, key))
    for (const key of new Set([...undone.map((one) => one.key), ...waiting])) this.#place(job, key)
    return { replaced, undone, failed: fail !== undefined && this.#fail(job, fail) }
  }

  /** Those, what was made of them, and what could not run because of that. */
  #affected(job: string, keys: readonly string[]): Undone[] {
    const found = new Map<string, TaskPhase>()
    const left = [...keys]
    for (let key = left.pop(); key !== undefined; key = left.pop()) {
      const was = this.#tasks.phaseOf(job, key)
      if (was === undefined || found.has(key)) continue
      // One that waits, and was out before, may have left something, and has handed on what it wrote.
      if (was === 'queued' && !this.#wasOut(job, key)) continue
      if (was === 'canceled' && !this.#isStranded(job, key)) continue
      found.set(key, was)
      left.push(...this.#takers(job, key))
      if (was === 'failed' || was === 'canceled') left.push(...this.#dependents(job, key))
    }
    return [...found].map(([key, was]) => ({ key, was }))
  }

  #replace(job: string, { key, document, outputs, again }: NonNullable<Revision['replace']>) {
    const { changes } = this.#database
      .prepare(
        `UPDATE tasks SET document = ?, outputs = ?, completion = coalesce(?, completion)
         WHERE job = ? AND key = ? AND phase = 'completed'`,
      )
      .run(document, outputs ?? null, again ? this.#places.nextCompletion() : null, job, key)
    return Number(changes) === 1
  }

  #reset(job: string, key: string): void {
    this.#database
      .prepare(
        `UPDATE tasks SET phase = 'queued', completion = NULL, document = NULL, outputs = NULL,
           held = NULL, live = NULL, dispatches = 0, failures = 0, turn = NULL
         WHERE job = ? AND key = ?`,
      )
      .run(job, key)
    // What it would go on from came of what it took, or of a host that is not believed.
    this.#database.prepare('DELETE FROM task_checkpoints WHERE job = ? AND key = ?').run(job, key)
  }

  #wasOut(job: string, key: string): boolean {
    const row = this.#database
      .prepare('SELECT 1 FROM tasks WHERE job = ? AND key = ? AND epoch > 0')
      .get(job, key)
    return row !== undefined
  }

  /** A task that waits does so for those that it needs, or for a host. */
  #place(job: string, key: string): void {
    const waits = this.#places.unmet(job, key)
    const row = this.#database
      .prepare("SELECT turn FROM tasks WHERE job = ? AND key = ? AND phase = 'queued'")
      .get(job, key)
    if (row === undefined) return
    const turn = waits > 0 ? null : ((row['turn'] as number | null) ?? this.#places.nextTurn(job))
    this.#database
      .prepare('UPDATE tasks SET waits = ?, turn = ? WHERE job = ? AND key = ?')
      .run(waits, turn, job, key)
  }

  #fail(job: string, { key, document }: NonNullable<Revision['fail']>): boolean {
    const { changes } = this.#database
      .prepare(
        `UPDATE tasks SET phase = 'failed', completion = ?, document = ?, turn = NULL
         WHERE job = ? AND key = ? AND completion IS NULL`,
      )
      .run(this.#places.nextCompletion(), document, job, key)
    return Number(changes) === 1
  }

  #takers(job: string, key: string): string[] {
    return this.#keys('SELECT key FROM needs WHERE job = ? AND need = ? AND data = 1', job, key)
  }

  #dependents(job: string, key: string): string[] {
    return this.#keys('SELECT key FROM needs WHERE job = ? AND need = ?', job, key)
  }

  /** Whether it was canceled because one that it needs did not complete. */
  #isStranded(job: string, key: string): boolean {
    const row = this.#database
      .prepare(
        `SELECT 1 FROM tasks WHERE job = ? AND key = ? AND phase = 'canceled'
           AND document ->> '$.error.code' = 'NEED_FAILED'`,
      )
      .get(job, key)
    return row !== undefined
  }

  #keys(sql: string, ...values: string[]): string[] {
    return this.#database
      .prepare(sql)
      .all(...values)
      .map((row) => row['key'] as string)
  }
}
