import { type Clock, itemRange, LIMITS, type TaskResult } from '@manyhands/core'
import type { JobDocument } from './job-document.ts'
import type { ClientJournal } from './journal/client-journal.ts'
import { type Chunk, SplitRange } from './split-range.ts'
import { Task } from './task.ts'
import { templated } from './task-documents.ts'

/** The item of a task of a range that is cut. */
export interface ChunkItem {
  from: number
  to: number
  step: number
  count: number
  /** When it is split by items. */
  items?: unknown[]
}

export interface JobCuttingParts {
  job: string
  document: JobDocument
  journal: Pick<ClientJournal, 'tasks' | 'items'>
  clock: Clock
  lastEpoch: number
}

/** The tasks of a job whose range is cut as hosts take it. */
export class JobCutting {
  readonly #parts: JobCuttingParts
  #range!: SplitRange
  /**
   * Places in the input are known when a part is accepted; until then each has a number of its own, which
   * no other part had before, those of earlier processes included.
   */
  #number!: number

  constructor(parts: JobCuttingParts) {
    this.#parts = parts
    this.reopen()
  }

  /** Begins where the journal has it, also when the job had ended. */
  reopen(): void {
    const { job, document, journal, clock } = this.#parts
    this.#number = -clock.date().getTime()
    this.#range = new SplitRange(
      partsOf(document),
      clock.now,
      document.items === undefined ? undefined : LIMITS.itemsPerPart,
    )
    for (const { index, key, item, phase, live } of journal.tasks.cut(job)) {
      this.#number = Math.min(this.#number, index)
      const chunk = this.chunkOf(JSON.parse(item) as ChunkItem)
      if (phase === 'running' || phase === 'queued')
        this.#range.sent(key, chunk, live.at(-1)?.[1] ?? '')
      else {
        this.#range.accept(key, chunk)
        this.#range.confirm(key)
      }
    }
  }

  get size(): number {
    return this.#range.size
  }

  /** Numbers that are in no task. */
  get waiting(): number {
    return this.#range.waiting
  }

  /** @param slots - how many tasks of the job can be out at once */
  next(host: string, slots: number): Task | undefined {
    const chunk = this.#range.cut(host, slots)
    if (chunk === undefined) return undefined
    this.#number -= 1
    const { from, to } = chunk
    const item = this.#itemOf(chunk)
    const row = { index: this.#number, key: `${from}-${to}`, epoch: 0, dispatches: 0, failures: 0 }
    const { job, document, clock, lastEpoch } = this.#parts
    const overrides = templated(document, item, chunk.first)
    const task = new Task(
      { ...row, phase: 'queued' },
      { job, item, overrides, clock, chunk, lastEpoch },
    )
    this.#range.sent(task.key, chunk, host)
    return task
  }

  chunkOf({ from, count }: ChunkItem): Chunk {
    const first = this.#range.positionOf(from)
    return this.#range.chunk({ first, last: first + count - 1 })
  }

  /** It goes to another host than it was cut for. */
  moved({ key, chunk }: Task, host: string): void {
    this.#range.sent(key, chunk!, host)
  }

  /** It is no task any more: what nobody else has is cut anew. */
  back({ key }: Task): void {
    this.#range.back(key)
  }

  /** It has left its numbers from here on to others. */
  shorten(task: Task, rest: number): void {
    const chunk = this.#range.shorten(task.key, task.chunk!, rest)
    task.chunk = chunk
    task.item = this.#itemOf(chunk)
  }

  /** It has failed of itself: it is cut in halves. Answers false for one that cannot be. */
  halve({ key, chunk }: Task): boolean {
    return this.#range.halve(key, chunk!)
  }

  /** Nothing is cut any more. Answers how many numbers that leaves. */
  end(): number {
    return this.#range.end()
  }

  /**
   * It is to count. Answers the keys of tasks that cannot any more, or undefined when it cannot itself.
   */
  accept({ key, chunk }: Task): string[] | undefined {
    return this.#range.accept(key, chunk!)
  }

  /** It counts, and what it has outrun is over for good. */
  confirm({ key }: Task): void {
    this.#range.confirm(key)
  }

  /** It does not count after all; what it had outrun is as it was. */
  revoke({ key, chunk }: Task): void {
    this.#range.revoke(key, chunk!)
  }

  /** What has failed is cut anew. */
  forgive(item: ChunkItem): void {
    this.#range.forgive(this.chunkOf(item))
  }

  /** So fast was the host of a task that counts. */
  measured(
    { chunk, attempts }: Task,
    { host, durationMs }: Pick<TaskResult, 'host' | 'durationMs'>,
  ): void {
    if (host === undefined) return
    const attempt = [...attempts.values()].find((one) => one.host === host)
    const wholeMs = attempt === undefined ? 0 : this.#parts.clock.now() - attempt.sentAt
    this.#range.measured(host, chunk!, durationMs, wholeMs - durationMs)
  }

  #itemOf(chunk: Chunk): ChunkItem {
    const { job, journal, document } = this.#parts
    const { from, to, step } = chunk
    const item = { from, to, step, count: countOf(chunk) }
    if (document.items === undefined) return item
    return { ...item, items: journal.items.slice(job, chunk.first, chunk.last) }
  }
}

/** What is cut: the parts of a range, or the places of a list. */
function partsOf({ range, items }: JobDocument) {
  if (items === undefined) return itemRange(range!).parts
  return items === 0 ? [] : [{ from: 0, to: items - 1, step: 1 }]
}

/** How many numbers a task of any job stands for. */
export function countOf(chunk: Chunk | undefined): number {
  return chunk === undefined ? 1 : chunk.last - chunk.first + 1
}
