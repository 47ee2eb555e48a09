import type { TaskRow, TaskRows } from './journal/task-rows.ts'
import type { Task } from './task.ts'

/** Tasks held in memory beforehand: enough to fill offers, few enough for any batch. */
export const READY_WINDOW = 1024

/**
 * The tasks of one job that may be sent out, next first. The line itself is in the journal; its head is
 * in memory.
 */
export class TaskLine {
  readonly ready: Task[] = []
  readonly #job: string
  readonly #rows: TaskRows
  readonly #taskOf: (row: TaskRow) => Task | undefined
  /** How often a key stands in the head. */
  readonly #keys = new Map<string, number>()
  /** Up to here the line has been read. */
  #at = 0

  /** @param taskOf - undefined for a task that is over as soon as it is looked at */
  constructor(job: string, rows: TaskRows, taskOf: (row: TaskRow) => Task | undefined) {
    this.#job = job
    this.#rows = rows
    this.#taskOf = taskOf
  }

  /** Whether nothing waits, here or in the journal. */
  get empty(): boolean {
    return this.ready.length === 0 && this.#at >= this.#rows.lastTurn(this.#job)
  }

  /** These came to its end: where all before them are here and there is room, they need not be read again. */
  add(rows: readonly TaskRow[]): void {
    if (rows[0]?.turn !== this.#at + 1) return
    for (const row of rows) {
      if (this.ready.length >= READY_WINDOW) return
      this.#at = row.turn
      this.#push(row)
    }
  }

  /** Reads on in the journal when the head grows short. */
  refill(): void {
    if (this.ready.length >= READY_WINDOW / 2) return
    const last = this.#rows.lastTurn(this.#job)
    if (this.#at >= last) return
    const limit = READY_WINDOW - this.ready.length
    const rows = this.#rows.waiting(this.#job, this.#at, limit)
    this.#at = rows.length < limit ? last : rows.at(-1)!.turn
    for (const row of rows) this.#push(row)
  }

  #push(row: TaskRow): void {
    const task = this.#taskOf(row)
    if (task === undefined) return
    this.ready.push(task)
    this.#count(task.key, 1)
  }

  /** Back in front: it has waited before. */
  putBack(task: Task): void {
    this.ready.unshift(task)
    this.#count(task.key, 1)
  }

  /** Takes whatever stands for a task out of the line. */
  removeAll(key: string): void {
    if (!this.#keys.has(key)) return
    this.#keys.delete(key)
    for (let at = this.ready.length - 1; at >= 0; at -= 1) {
      if (this.ready[at]!.key === key) this.ready.splice(at, 1)
    }
  }

  /** Takes a task out of the line, if it is in it. */
  remove(task: Task): void {
    const at = this.ready.indexOf(task)
    if (at < 0) return
    // Mostly the next one.
    if (at === 0) this.ready.shift()
    else this.ready.splice(at, 1)
    this.#count(task.key, -1)
  }

  #count(key: string, more: number): void {
    const count = (this.#keys.get(key) ?? 0) + more
    if (count > 0) this.#keys.set(key, count)
    else this.#keys.delete(key)
  }
}
