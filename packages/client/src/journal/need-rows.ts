import type { JournalDatabase } from '@manyhands/core'

export const NEED_SCHEMA = `
  CREATE TABLE IF NOT EXISTS needs (
    job TEXT NOT NULL, need TEXT NOT NULL, key TEXT NOT NULL, data INTEGER NOT NULL,
    PRIMARY KEY (job, need, key)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS needs_by_key ON needs (job, key);
`

/** What is wrong with a graph of tasks. */
export type GraphFault =
  | { kind: 'missing'; key: string; need: string }
  /** Each needs the one before it; the first needs the last. */
  | { kind: 'cycle'; keys: string[] }

/** Which tasks wait for which. */
export interface NeedRows {
  any(job: string): boolean
  /** Whether some task takes what this one writes. */
  isTaken(job: string, key: string): boolean
  /** Those that a task needs and that have not completed, the first ones. */
  unmet(job: string, key: string, limit: number): string[]
  /** Looks at the whole graph of a job whose tasks are all in the journal. */
  fault(job: string): GraphFault | undefined
  /** Tasks that wait, and need this one. */
  waitingFor(job: string, need: string): { index: number; key: string }[]
  /** Tasks that did not complete although others wait for them. */
  unheeded(job: string): string[]
}

export class SqliteNeedRows implements NeedRows {
  readonly #database: JournalDatabase

  constructor(database: JournalDatabase) {
    this.#database = database
  }

  any(job: string): boolean {
    return (
      this.#database.prepare('SELECT 1 FROM needs WHERE job = ? LIMIT 1').get(job) !== undefined
    )
  }

  isTaken(job: string, key: string): boolean {
    const row = this.#database
      .prepare('SELECT 1 FROM needs WHERE job = ? AND need = ? AND data = 1 LIMIT 1')
      .get(job, key)
    return row !== undefined
  }

  unmet(job: string, key: string, limit: number): string[] {
    return this.#database
      .prepare(
        `SELECT need FROM needs JOIN tasks ON tasks.job = needs.job AND tasks.key = needs.need
         WHERE needs.job = ? AND needs.key = ? AND tasks.phase <> 'completed' LIMIT ?`,
      )
      .all(job, key, limit)
      .map((row) => row['need'] as string)
  }

  fault(job: string): GraphFault | undefined {
    const missing = this.#database
      .prepare(
        `SELECT key, need FROM needs WHERE job = ?
         AND NOT EXISTS (SELECT 1 FROM tasks WHERE tasks.job = needs.job AND tasks.key = needs.need)
         LIMIT 1`,
      )
      .get(job)
    if (missing !== undefined) {
      return { kind: 'missing', key: missing['key'] as string, need: missing['need'] as string }
    }
    const keys = this.#cycle(job)
    return keys === undefined ? undefined : { kind: 'cycle', keys }
  }

  waitingFor(job: string, need: string): { index: number; key: string }[] {
    return this.#database
      .prepare(
        `SELECT tasks.idx, tasks.key FROM needs
         JOIN tasks ON tasks.job = needs.job AND tasks.key = needs.key
         WHERE needs.job = ? AND needs.need = ? AND tasks.phase = 'queued'`,
      )
      .all(job, need)
      .map((row) => ({ index: row['idx'] as number, key: row['key'] as string }))
  }

  unheeded(job: string): string[] {
    return this.#database
      .prepare(
        `SELECT DISTINCT needs.need FROM tasks
         JOIN needs ON needs.job = tasks.job AND needs.need = tasks.key
         JOIN tasks AS after ON after.job = needs.job AND after.key = needs.key
         WHERE tasks.job = ? AND tasks.phase IN ('failed', 'canceled') AND after.phase = 'queued'`,
      )
      .all(job)
      .map((row) => row['need'] as string)
  }

  /** Takes away what needs nothing, again and again; what is left goes round in circles. */
  #cycle(job: string): string[] | undefined {
    const needs = new Map<string, Set<string>>()
    const neededBy = new Map<string, string[]>()
    for (const row of this.#database
      .prepare('SELECT key, need FROM needs WHERE job = ?')
      .iterate(job)) {
      const key = row['key'] as string
      const need = row['need'] as string
      const its = needs.get(key) ?? new Set()
      needs.set(key, its.add(need))
      const others = neededBy.get(need) ?? []
      others.push(key)
      neededBy.set(need, others)
    }
    const free = [...neededBy.keys()].filter((key) => !needs.has(key))
    for (let key = free.pop(); key !== undefined; key = free.pop()) {
      for (const other of neededBy.get(key) ?? []) {
        const left = needs.get(other)!
        left.delete(key)
        if (left.size > 0) continue
        needs.delete(other)
        free.push(other)
      }
    }
    const [first] = needs.keys()
    if (first === undefined) return undefined
    const path: string[] = []
    let at = first
    while (!path.includes(at)) {
      path.push(at)
      at = [...needs.get(at)!].find((need) => needs.has(need))!
    }
    return path.slice(path.indexOf(at)).reverse()
  }
}
