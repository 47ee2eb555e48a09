import { type ArtifactStore, isTerminal, ManyhandsError, type TaskResult } from '@manyhands/core'
import type {
  HostVerdict,
  Job,
  JobCounts,
  JobEvent,
  JobProgress,
  JobSummary,
  LogLine,
} from './client.ts'
import type { ClientJournal, JournaledResult } from './client-journal.ts'
import type { HostDirectory } from './host-directory.ts'
import type { JobRun } from './job-run.ts'
import { type Heard, streamKey } from './lost-output.ts'
import { passingRefusal, standingRefusal } from './placement.ts'
import type { Scheduler } from './scheduler.ts'
import { NO_OUTPUTS, storedOutputs } from './task-outputs.ts'

/** Results that are read from the journal at once. */
const PAGE = 64

export interface JobHandleParts {
  run: JobRun
  journal: ClientJournal
  store: ArtifactStore
  scheduler: Scheduler
  directory: HostDirectory
}

/** What a caller holds of a job. */
export class JobHandle<Item> implements Job<Item> {
  readonly #parts: JobHandleParts
  readonly #settled = new Set<() => void>()

  constructor(parts: JobHandleParts) {
    this.#parts = parts
    const before = parts.run.onSettled
    parts.run.onSettled = () => {
      before()
      for (const wake of [...this.#settled]) wake()
    }
  }

  get id(): string {
    return this.#parts.run.id
  }

  get name(): string {
    return this.#parts.run.prepared.name
  }

  get phase() {
    return this.#parts.run.phase
  }

  get counts(): JobCounts {
    return this.#parts.run.counts
  }

  get summary(): JobSummary {
    return this.#parts.run.summary
  }

  get progress(): JobProgress {
    return this.#parts.run.progress
  }

  async *results(
    options: { ordered?: boolean; signal?: AbortSignal } = {},
  ): AsyncGenerator<TaskResult<Item>> {
    const { journal, run } = this.#parts
    const pages = options.ordered ? inputOrder(journal, run.id) : completionOrder(journal, run.id)
    while (true) {
      options.signal?.throwIfAborted()
      // Asked before the journal is read: what is settled afterwards wakes us.
      const wait = this.#nextSettled(options.signal)
      const over = run.over
      const page = pages()
      for (const row of page) yield await this.#resultOf(row)
      if (page.length > 0) wait.cancel()
      else if (over) {
        wait.cancel()
        return
      } else await wait.promise
    }
  }

  events(options: { since?: number; signal?: AbortSignal } = {}): AsyncIterable<JobEvent> {
    return this.#parts.run.log.read(options.since, options.signal)
  }

  async *logs(
    options: { task?: string; follow?: boolean; signal?: AbortSignal } = {},
  ): AsyncGenerator<LogLine> {
    const { log, lostOutput } = this.#parts.run
    const last = options.follow ? Number.POSITIVE_INFINITY : log.last
    if (last === 0) return
    const heard: Heard = new Map()
    let seq = 0
    for await (const event of log.read(0, options.signal)) {
      if (event.kind === 'gap') yield* lostOutput.since(seq, heard, options.task)
      if (event.kind === 'log' && (options.task === undefined || event.task === options.task)) {
        const { task, attempt, stream, text, upTo, gap } = event
        heard.set(streamKey(event), upTo)
        yield { task, attempt, stream, text, ...(gap === undefined ? {} : { gap }) }
      }
      if (event.kind === 'attempt' && isTerminal(event.phase) && event.phase !== 'lost') {
        // Nothing more comes of it: what a long job's reader remembers stays small.
        for (const stream of ['stdout', 'stderr'] as const) {
          heard.delete(streamKey({ attempt: event.attempt, stream }))
        }
      }
      seq = event.seq
      if (seq >= last) return
    }
  }

  async wait(options: { signal?: AbortSignal } = {}): Promise<JobSummary> {
    const { signal } = options
    if (signal === undefined) return this.#parts.run.ended.promise
    signal.throwIfAborted()
    const aborted = Promise.withResolvers<never>()
    const abort = () => aborted.reject(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    try {
      return await Promise.race([this.#parts.run.ended.promise, aborted.promise])
    } finally {
      signal.removeEventListener('abort', abort)
    }
  }

  async pause(): Promise<void> {
    if (this.#parts.run.dispatching) this.#parts.run.setPhase('paused')
  }

  async resume(): Promise<void> {
    const { run, scheduler } = this.#parts
    if (run.phase !== 'paused') return
    run.setPhase('running')
    scheduler.poke()
    run.finishIfDone()
  }

  async cancel(reason = 'canceled by the client'): Promise<void> {
    const { run, scheduler } = this.#parts
    if (run.over) return
    await scheduler.abort(run, 'canceled', new ManyhandsError('CANCELED', reason))
  }

  async why(taskKey: string): Promise<HostVerdict[]> {
    const { run, directory } = this.#parts
    const task =
      run.ready.find(({ key }) => key === taskKey) ??
      [...run.running.values()].find(({ key }) => key === taskKey)
    return directory.records().map((host) => {
      const here = task?.running.some((attempt) => attempt.host === host.peerId)
      const refusal = here
        ? undefined
        : (standingRefusal(run, host) ??
          passingRefusal(run, host) ??
          (task?.avoid.has(host.peerId) ? 'failed this task before' : undefined) ??
          (task?.keepsAwayFrom(host.peerId) ? 'evicted this task a moment ago' : undefined))
      const well = here
        ? 'runs there now'
        : task === undefined
          ? 'the task is over'
          : 'may go there'
      return { host: host.peerId, eligible: refusal === undefined, reason: refusal ?? well }
    })
  }

  #nextSettled(signal: AbortSignal | undefined): { promise: Promise<void>; cancel(): void } {
    const { promise, resolve } = Promise.withResolvers<void>()
    const cancel = () => {
      this.#settled.delete(cancel)
      signal?.removeEventListener('abort', cancel)
      resolve()
    }
    this.#settled.add(cancel)
    signal?.addEventListener('abort', cancel, { once: true })
    return { promise, cancel }
  }

  async #resultOf(row: JournaledResult): Promise<TaskResult<Item>> {
    const document = JSON.parse(row.document)
    return {
      ...document,
      item: JSON.parse(row.item) as Item,
      exitCode: document.exitCode ?? undefined,
      signal: document.signal ?? undefined,
      host: document.host ?? undefined,
      outputs:
        row.outputs === undefined
          ? NO_OUTPUTS
          : await storedOutputs(this.#parts.store, row.outputs),
    }
  }
}

function completionOrder(journal: ClientJournal, job: string): () => JournaledResult[] {
  let at = 0
  return () => {
    const page = journal.resultsAfter(job, at, PAGE)
    at = page.at(-1)?.at ?? at
    return page
  }
}

function inputOrder(journal: ClientJournal, job: string): () => JournaledResult[] {
  let next = 0
  return () => {
    const page: JournaledResult[] = []
    while (page.length < PAGE) {
      const row = journal.resultAt(job, next)
      if (row === undefined) break
      page.push(row)
      next += 1
    }
    return page
  }
}
