import type { JournalDatabase } from '@manyhands/core'

/** Where tasks stand: in the line of those that wait, and in the order of those that are over. */
export class TaskPlaces {
  readonly #database: JournalDatabase
  readonly #turns = new Map<string, number>()
  #completions: number
  /** Whether tasks of a job need others. */
  readonly #graphs = new Map<string, boolean>()

  constructor(database: JournalDatabase) {
    this.#database = database
    const last = database
      .prepare(
        `SELECT max(last) AS last FROM (SELECT (SELECT max(completion) FROM tasks
           WHERE job = jobs.id AND completion IS NOT NULL) AS last FROM jobs)`,
      )
      .get()
    this.#completions = (last?.['last'] as number | null) ?? 0
  }

  /** Reserves places in the order of completion. Answers the place before them. */
  takeCompletions(count: number): number {
    const before = this.#completions
    this.#completions += count
    return before
  }

  lastTurn(job: string): number {
    let turn = this.#turns.get(job)
    if (turn === undefined) {
      const row = this.#database
        .prepare('SELECT max(turn) AS last FROM tasks WHERE job = ? AND turn IS NOT NULL')
        .get(job)
      turn = (row?.['last'] as number | null) ?? 0
      this.#turns.set(job, turn)
    }
    return turn
  }

  /** Those that needed this one need one less. */
  wake(job: string, key: string): boolean {
    if (!this.#isGraph(job)) return false
    const waiting = this.#database
      .prepare('SELECT key FROM needs WHERE job = ? AND need = ?')
      .all(job, key)
    let woken = false
    for (const row of waiting) {
      const other = row['key'] as string
      const left = this.#database
        .prepare(
          `UPDATE tasks SET waits = waits - 1
           WHERE job = ? AND key = ? AND phase = 'queued' AND turn IS NULL RETURNING waits`,
        )
        .get(job, other)
      if (left === undefined || (left['waits'] as number) > 0) continue
      // Counted down, and looked at once before it goes: one that it needs may have been retracted.
      const waits = this.unmet(job, other)
      woken ||= waits === 0
      this.#database
        .prepare('UPDATE tasks SET waits = ?, turn = ? WHERE job = ? AND key = ?')
        .run(waits, waits > 0 ? null : this.nextTurn(job), job, other)
    }
    return woken
  }

  #isGraph(job: string): boolean {
    let graph = this.#graphs.get(job)
    if (graph === undefined) {
      const row = this.#database.prepare('SELECT 1 FROM needs WHERE job = ? LIMIT 1').get(job)
      graph = row !== undefined
      this.#graphs.set(job, graph)
    }
    return graph
  }

  unmet(job: string, key: string): number {
    const row = this.#database
      .prepare(
        `SELECT count(*) AS n FROM needs JOIN tasks ON tasks.job = needs.job AND tasks.key = needs.need
         WHERE needs.job = ? AND needs.key = ? AND tasks.phase <> 'completed'`,
      )
      .get(job, key)
    return row?.['n'] as number
  }

  /** A place at the end of the line. */
  nextTurn(job: string): number {
    const turn = this.lastTurn(job) + 1
    this.#turns.set(job, turn)
    return turn
  }

  /** A place among what is over, of all jobs. */
  nextCompletion(): number {
    this.#completions += 1
    return this.#completions
  }

  /** It has tasks that need others. */
  needing(job: string): void {
    this.#graphs.set(job, true)
  }
}
