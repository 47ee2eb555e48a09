import { availableParallelism } from 'node:os'
import { type MessagePort, Worker } from 'node:worker_threads'
import { type ErrorDocument, ManyhandsError } from '../errors.ts'
import { BULK } from '../network/bulk-limits.ts'
import type { BulkTicket } from '../network/bulk-ticket.ts'

/** What a socket is made for: who asks for content, or who gives it. */
export type LaneProgram = 'receive' | 'serve'

interface LaneWish {
  peer: string
  /** Where to listen, or whom to dial. */
  host: string
  /** The lane was asked for by the peer. */
  inbound: boolean
  program: LaneProgram
  /** The lane's end of its port. */
  port: MessagePort
}

export type ThreadCommand =
  | ({ kind: 'issue'; call: number } & LaneWish)
  | ({ kind: 'dial'; call: number; ticket: BulkTicket } & LaneWish)
  | { kind: 'cancel'; call: number }
  | { kind: 'cut'; peer: string }

export type ThreadReport =
  | { kind: 'issued'; call: number; ticket: BulkTicket }
  | { kind: 'open'; call: number }
  | { kind: 'closed'; call: number }
  | { kind: 'failed'; call: number; error: ErrorDocument }

/** A lane that runs once the peer has come with the ticket. */
export interface IssuedLane {
  ticket: BulkTicket
  /** @throws TIMEOUT, CANCELED, PEER_GONE */
  open: Promise<void>
  cancel(): void
}

interface Thread {
  worker: Worker
  /** Lanes that are made or run. */
  lanes: number
}

interface Call {
  peer: string
  thread: Thread
  issued: PromiseWithResolvers<BulkTicket>
  open: PromiseWithResolvers<void>
}

/** Runs from source and from the build: the thread's program lies beside this file or its bundle. */
const PROGRAM = new URL(
  import.meta.url.endsWith('.ts') ? './lane-thread.ts' : './lane-thread.js',
  import.meta.url,
)

/**
 * Threads that carry bulk data, so that sockets, hashes and files of a transfer do not stand in the
 * way of requests. They start when they are needed and end when they have had nothing to do for a
 * while.
 */
export class LaneThreads {
  readonly #threads = new Set<Thread>()
  readonly #calls = new Map<number, Call>()
  #lastCall = 0
  #idle: NodeJS.Timeout | undefined
  #closed = false

  /** Most threads there are. */
  static readonly most = Math.max(1, Math.min(BULK.threads, availableParallelism()))

  /** Starts a thread, as there will be work for it. */
  warm(): void {
    if (this.#threads.size > 0 || this.#closed) return
    this.#start()
    this.#endWhenIdle()
  }

  /** Listens for one peer. @throws LIMIT, CLOSED, what listening throws */
  async issue(wish: LaneWish): Promise<IssuedLane> {
    const call = this.#begin(wish, (number) => ({ kind: 'issue', call: number, ...wish }))
    const { thread, issued, open } = this.#calls.get(call)!
    const cancel = () => thread.worker.postMessage({ kind: 'cancel', call } satisfies ThreadCommand)
    return { ticket: await issued.promise, open: open.promise, cancel }
  }

  /** Comes with a ticket. @throws CONNECT_FAILED, PROTOCOL, TIMEOUT, signal's reason */
  async dial(wish: LaneWish & { ticket: BulkTicket }, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    const call = this.#begin(wish, (number) => ({ kind: 'dial', call: number, ...wish }))
    const { thread, open } = this.#calls.get(call)!
    const cancel = () => thread.worker.postMessage({ kind: 'cancel', call } satisfies ThreadCommand)
    signal.addEventListener('abort', cancel, { once: true })
    try {
      await open.promise
    } finally {
      signal.removeEventListener('abort', cancel)
    }
  }

  /** Ends the lanes of a peer. */
  cut(peer: string): void {
    for (const { worker } of this.#threads) {
      worker.postMessage({ kind: 'cut', peer } satisfies ThreadCommand)
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    clearTimeout(this.#idle)
    await Promise.all([...this.#threads].map(({ worker }) => worker.terminate()))
  }

  #begin(wish: LaneWish, command: (call: number) => ThreadCommand): number {
    if (this.#closed) throw new ManyhandsError('CLOSED', 'the artifact store was closed')
    const { peer } = wish
    const lanes = this.#calls.values().reduce((sum, call) => sum + Number(call.peer === peer), 0)
    if (lanes >= BULK.lanesPerPeer) {
      throw new ManyhandsError('LIMIT', `${lanes} lanes of peer ${peer} are open`)
    }
    clearTimeout(this.#idle)
    this.#lastCall += 1
    const call = this.#lastCall
    const thread = this.#threadFor(peer)
    const issued = Promise.withResolvers<BulkTicket>()
    const open = Promise.withResolvers<void>()
    // Each is waited for by at most one, and not by everybody.
    for (const { promise } of [issued, open]) promise.catch(() => {})
    this.#calls.set(call, { peer, thread, issued, open })
    thread.lanes += 1
    thread.worker.postMessage(command(call), [wish.port])
    return call
  }

  /** One that has no lane of this peer, as lanes beside each other are for its speed; a new one costs 50 ms. */
  #threadFor(peer: string): Thread {
    const busy = new Set<Thread>()
    for (const call of this.#calls.values()) if (call.peer === peer) busy.add(call.thread)
    const byLanes = [...this.#threads].sort((a, b) => a.lanes - b.lanes)
    const free = byLanes.find((thread) => !busy.has(thread))
    if (free !== undefined && free.lanes < BULK.lanesPerThread) return free
    if (this.#threads.size < LaneThreads.most) return this.#start()
    return free ?? byLanes[0]!
  }

  #start(): Thread {
    const worker = new Worker(PROGRAM, {
      name: 'manyhands-bulk',
      // Nothing of this process goes with it: no environment, no arguments, no streams.
      env: {},
      argv: [],
      execArgv: [],
      stdin: true,
      stdout: true,
      stderr: true,
      resourceLimits: { maxOldGenerationSizeMb: BULK.threadHeapMiB, maxYoungGenerationSizeMb: 24 },
    })
    const thread: Thread = { worker, lanes: 0 }
    this.#threads.add(thread)
    worker.on('message', (report: ThreadReport) => this.#take(report))
    let cause: unknown
    worker.on('error', (error) => {
      cause = error
    })
    worker.once('exit', () => {
      this.#threads.delete(thread)
      const error = new ManyhandsError('INTERNAL', 'a thread for bulk data ended', { cause })
      for (const [call, { thread: of }] of this.#calls) if (of === thread) this.#fail(call, error)
    })
    worker.unref()
    return thread
  }

  #take(report: ThreadReport): void {
    const call = this.#calls.get(report.call)
    if (call === undefined) return
    if (report.kind === 'issued') call.issued.resolve(report.ticket)
    else if (report.kind === 'open') call.open.resolve()
    else {
      const error =
        report.kind === 'failed'
          ? ManyhandsError.fromJSON(report.error)
          : new ManyhandsError('PEER_GONE', 'the lane was closed')
      this.#fail(report.call, error)
    }
  }

  #fail(number: number, error: ManyhandsError): void {
    const call = this.#calls.get(number)!
    this.#calls.delete(number)
    call.issued.reject(error)
    call.open.reject(error)
    call.thread.lanes -= 1
    this.#endWhenIdle()
  }

  #endWhenIdle(): void {
    if (this.#calls.size > 0 || this.#closed) return
    clearTimeout(this.#idle)
    this.#idle = setTimeout(() => {
      for (const { worker } of this.#threads) void worker.terminate()
    }, BULK.threadIdleMs).unref()
  }
}
