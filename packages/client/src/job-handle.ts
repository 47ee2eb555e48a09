import { isTerminal, LIMITS, ManyhandsError, type TaskResult } from '@manyhands/core'
import { explainTask } from './explain-task.ts'
import type { HeldResults } from './held-results.ts'
import type { HostDirectory } from './host-directory.ts'
import type { HostRecord } from './host-record.ts'
import type { HostVerdict, Job, JobSummary, LogLine } from './job.ts'
import type { ChunkItem } from './job-cutting.ts'
import type { JobEvent } from './job-event.ts'
import type { JobKeys } from './job-keys.ts'
import type { JobCounts, JobProgress } from './job-progress.ts'
import type { JobRun } from './job-run.ts'
import type { ClientJournal } from './journal/client-journal.ts'
import type { ResultRow } from './journal/result-rows.ts'
import { type Heard, streamKey } from './lost-output.ts'
import { writeOwnerKey } from './owner-key.ts'
import type { Scheduler } from './scheduler.ts'
import { storedResult } from './stored-result.ts'
import { NO_OUTPUTS } from './task-outputs.ts'

/** Results that are read from the journal at once. */
const PAGE = 64

export interface JobHandleParts {
  run: JobRun
  journal: ClientJournal
  held: HeldResults
  scheduler: Scheduler
  directory: HostDirectory
  keys: JobKeys
  /** This client, and where it looks for hosts. */
  peerId: string
  bootstrap: readonly string[]
  /** It was over, and has tasks to run again. */
  goesOn(): Promise<void>
}

/** What a caller holds of a job. */
export class JobHandle<Item> implements Job<Item> {
  readonly #parts: JobHandleParts
  readonly #settled = new Set<() => void>()
  /** Who reads results now. */
  #readers = 0

  constructor(parts: JobHandleParts) {
    this.#parts = parts
    const before = parts.run.onSettled
    parts.run.onSettled = () => {
      before()
      for (const wake of [...this.#settled]) wake()
      if (parts.run.over) this.#read()
    }
  }

  get run(): JobRun {
    return this.#parts.run
  }

  get id(): string {
    return this.#parts.run.id
  }

  get name(): string {
    return this.#parts.run.name
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
    this.#readers += 1
    try {
      yield* this.#results(options)
    } finally {
      this.#readers -= 1
      this.#read()
    }
  }

  async *#results(options: {
    ordered?: boolean
    signal?: AbortSignal
  }): AsyncGenerator<TaskResult<Item>> {
    const { journal, run } = this.#parts
    if (options.ordered && run.checking?.isProvisional) {
      throw new ManyhandsError(
        'SPEC_INVALID',
        "results of a job that is verified with accept: 'provisional' have no order: others may follow",
        { hint: "Read them as they come, or accept them at the 'job-end' or by 'quorum'." },
      )
    }
    const pages = options.ordered ? inputOrder(journal, run) : completionOrder(journal, run)
    while (true) {
      options.signal?.throwIfAborted()
      // Asked before the journal is read: what is settled afterwards wakes us.
      const wait = this.#nextSettled(options.signal)
      const over = run.over
      const page = run.checking?.holdsBack ? [] : pages()
      // Who has read a result is never told of another one.
      if (page.length > 0) await journal.durable()
      for (const row of page) yield await this.#resultOf(row)
      if (page.length > 0) wait.cancel()
      else if (over) {
        wait.cancel()
        return
      } else {
        this.#throwIfMissing()
        await Promise.race([wait.promise, run.left.promise])
      }
    }
  }

  events(options: { since?: number; signal?: AbortSignal } = {}): AsyncIterable<JobEvent> {
    return this.#parts.run.chronicle.log.read(options.since, options.signal)
  }

  async *logs(
    options: { task?: string; follow?: boolean; signal?: AbortSignal } = {},
  ): AsyncGenerator<LogLine> {
    const { log, lostOutput } = this.#parts.run.chronicle
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
    this.#throwIfMissing()
    const { ended, left } = this.#parts.run
    if (signal === undefined) return Promise.race([ended.promise, left.promise])
    signal.throwIfAborted()
    const aborted = Promise.withResolvers<never>()
    const abort = () => aborted.reject(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    try {
      return await Promise.race([ended.promise, left.promise, aborted.promise])
    } finally {
      signal.removeEventListener('abort', abort)
    }
  }

  async pause(options: { stop?: boolean } = {}): Promise<void> {
    const { run, scheduler } = this.#parts
    if (run.over) return
    if (run.fenced !== undefined) throw run.fenced
    if (run.phase !== 'paused') run.setPhase('paused')
    await run.moved
    if (options.stop) await scheduler.standDown(run, 'its client has paused the job')
  }

  async resume(): Promise<void> {
    const { run, scheduler } = this.#parts
    if (run.fenced !== undefined) throw run.fenced
    if (run.phase !== 'paused') return
    this.#throwIfMissing()
    run.setPhase('running')
    await run.moved
    scheduler.poke()
    run.ending.finishIfDone()
  }

  async cancel(reason = 'canceled by the client'): Promise<void> {
    const { run, scheduler } = this.#parts
    if (run.over) return
    await scheduler.abort(run, 'canceled', new ManyhandsError('CANCELED', reason))
  }

  async retry(options: { failed: true }): Promise<number> {
    void options
    const { run } = this.#parts
    if (run.fenced !== undefined) throw run.fenced
    if (run.phase === 'canceled') {
      throw new ManyhandsError('CANCELED', `job ${run.id} was canceled`)
    }
    const over = run.over
    const tasks = await run.ending.retry()
    if (over && !run.over) await this.#parts.goesOn()
    this.#throwIfMissing()
    return tasks
  }

  async ownerKey(): Promise<string> {
    const { run, journal, keys, directory } = this.#parts
    if (run.fenced !== undefined) throw run.fenced
    // From here on hosts keep what comes: nothing falls between the key and what is told by it.
    if (!keys.of(run.id).shared) await keys.change(run.id, { shared: true })
    const { seed, nonceKey, epoch, owners } = keys.of(run.id)
    const row = journal.jobs.get(run.id)!
    const places = this.#parts.bootstrap.map((address) => ({ addresses: [address] }))
    const { id, name, specHash, phase, submittedAt, sourceDone, spent } = row
    return writeOwnerKey({
      v: 1,
      job: { id, name, specHash, phase, submittedAt, sourceDone, spent },
      document: JSON.stringify(row.document),
      ownership: {
        ...{ seed, nonceKey, epoch },
        owners: [...owners.filter(([at]) => at !== epoch), [epoch, this.#parts.peerId]],
      },
      hosts: [...places, ...directory.records().map(addressesOf)],
      rows: journal.copies.read(run.id),
    })
  }

  async why(taskKey: string): Promise<HostVerdict[]> {
    return explainTask(this.#parts, taskKey)
  }

  /** When it is over and everybody has read on to its end, what hosts keep for it may go. */
  #read(): void {
    const { run, held } = this.#parts
    if (run.over && this.#readers === 0) held.release(run.id)
  }

  #throwIfMissing(): void {
    const { run } = this.#parts
    if (run.missing.length === 0) return
    throw new ManyhandsError(
      'HOOKS_MISSING',
      `job ${run.id} cannot go on: this process was not given its ${run.missing.join(', ')}`,
    )
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

  async #resultOf(row: ResultRow): Promise<TaskResult<Item>> {
    const outputs =
      row.outputs === undefined ? NO_OUTPUTS : await this.#parts.held.outputsOf(this.id, row)
    const result = storedResult<Item>(this.id, row, outputs)
    return this.run.checking?.mayFall() ? { ...result, provisional: true } : result
  }
}

function addressesOf({ peerId, offer }: HostRecord) {
  return { peer: peerId, addresses: offer.addresses.slice(0, LIMITS.addressesPerPeer) }
}

function completionOrder(journal: ClientJournal, run: JobRun): () => ResultRow[] {
  let at = 0
  const seen = new Set<string>()
  return () => {
    for (;;) {
      const next = journal.results.after(run.id, at, PAGE)
      // It has its place already, and is handed out from there as soon as that is durable: nobody reads past it.
      const waits = next.findIndex(({ key }) => run.checking?.isChanging(key))
      const page = waits < 0 ? next : next.slice(0, waits)
      at = page.at(-1)?.at ?? at
      // What is not handed out yet comes again when it is.
      const news = page.filter(({ key, phase }) => !seen.has(key) && run.handsOut(key, phase))
      // What stays at its host may be lost with it, and comes again when it was made again.
      for (const { key, held } of news) if (held !== undefined) seen.add(key)
      if (news.length > 0 || page.length === 0) return news
    }
  }
}

function inputOrder(journal: ClientJournal, run: JobRun): () => ResultRow[] {
  let next = 0
  return () => {
    const page: ResultRow[] = []
    while (page.length < PAGE) {
      const row = journal.results.at(run.id, next)
      if (row === undefined || !run.handsOut(row.key, row.phase)) break
      page.push(row)
      // Of a range that is cut, a result stands for several places.
      next += run.document.split === true ? (JSON.parse(row.item) as ChunkItem).count : 1
    }
    return page
  }
}
