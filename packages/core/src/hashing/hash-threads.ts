import { Worker } from 'node:worker_threads'
import { ManyhandsError } from '../errors.ts'
import {
  blocksOf,
  type HashAnswer,
  HashControl,
  type HashJob,
  type HashTask,
  type ThreadResult,
} from './hash-job.ts'

/** Runs from source and from the build, where it lies beside the package's one module. */
const PROGRAM = new URL(
  import.meta.url.endsWith('.ts') ? './hash-worker.ts' : './hash-worker.js',
  import.meta.url,
)
/** A thread that has had nothing to do for so long ends; starting one takes 40 ms. */
const IDLE_MS = 10_000

/** One file on its way through the threads. */
interface Work {
  job: HashJob
  control: HashControl
  threads: number
  results: ThreadResult[]
  failure?: ManyhandsError
  unavailable: boolean
  over: () => void
}

interface Thread {
  worker: Worker
  ready: boolean
  work: Work | undefined
  idle: NodeJS.Timeout | undefined
}

/** Threads that hash files, started when they are needed. They keep no process alive. */
export class HashThreads {
  readonly #most: number
  readonly #threads = new Set<Thread>()
  readonly #waiting = new Set<Work>()
  #broken = false
  #closed = false

  constructor(most: number) {
    this.#most = most
  }

  /**
   * Does one task with as many threads as are free; resolves when none of them touches its files any
   * more.
   *
   * @returns what each of them found out; undefined when no thread can be started here
   * @throws what reading or writing ended with, or the signal's reason
   */
  async run(task: HashTask, signal: AbortSignal | undefined): Promise<ThreadResult[] | undefined> {
    signal?.throwIfAborted()
    if (this.#broken || this.#closed) return undefined
    const control = new HashControl(blocksOf(task))
    const onAbort = () => {
      control.stop()
      this.#schedule()
    }
    signal?.addEventListener('abort', onAbort, { once: true })
    let work!: Work
    await new Promise<void>((resolve) => {
      work = {
        job: { task, blocks: control.blocks, control: control.shared },
        control,
        threads: 0,
        results: [],
        unavailable: false,
        over: resolve,
      }
      this.#waiting.add(work)
      this.#schedule()
    })
    signal?.removeEventListener('abort', onAbort)
    signal?.throwIfAborted()
    if (work.unavailable) return undefined
    if (work.failure !== undefined) throw work.failure
    return work.results
  }

  async close(): Promise<void> {
    this.#closed = true
    for (const work of this.#waiting) {
      work.failure ??= new ManyhandsError('CLOSED', 'the store was closed while a file was hashed')
      work.control.stop()
    }
    this.#schedule()
    await Promise.all([...this.#threads].map(({ worker }) => worker.terminate()))
  }

  #schedule(): void {
    for (const work of this.#waiting) {
      while (!work.control.exhausted && work.threads < work.control.blocks) {
        const thread = this.#free()
        if (thread === undefined) break
        work.threads += 1
        thread.work = work
        thread.worker.ref()
        thread.worker.postMessage(work.job)
      }
      if (work.threads === 0 && (work.control.exhausted || this.#broken)) {
        work.unavailable = this.#broken && !work.control.exhausted
        this.#waiting.delete(work)
        work.over()
      }
    }
  }

  #free(): Thread | undefined {
    if (this.#closed || this.#broken) return undefined
    for (const thread of this.#threads) {
      if (thread.work !== undefined) continue
      clearTimeout(thread.idle)
      return thread
    }
    return this.#threads.size < this.#most ? this.#start() : undefined
  }

  #start(): Thread {
    const worker = new Worker(PROGRAM, {
      name: 'manyhands-hash',
      // Nothing of this process goes with it: no environment, no arguments, no streams.
      env: {},
      argv: [],
      execArgv: [],
      stdin: true,
      stdout: true,
      stderr: true,
    })
    const thread: Thread = { worker, ready: false, work: undefined, idle: undefined }
    this.#threads.add(thread)
    worker.unref()
    worker.on('message', (answer: HashAnswer) => {
      if (answer.kind === 'ready') {
        thread.ready = true
        return
      }
      const work = thread.work!
      if (answer.result !== undefined) work.results.push(answer.result)
      if (answer.error !== undefined) work.failure ??= ManyhandsError.fromJSON(answer.error)
      this.#leave(thread)
    })
    // What went wrong is told when it has ended.
    worker.on('error', () => {})
    worker.once('exit', () => {
      this.#threads.delete(thread)
      clearTimeout(thread.idle)
      if (!thread.ready) this.#broken = true
      else if (thread.work !== undefined && !this.#closed) {
        thread.work.control.stop()
        thread.work.failure ??= new ManyhandsError('INTERNAL', 'a hashing thread ended early')
      }
      this.#leave(thread)
    })
    return thread
  }

  #leave(thread: Thread): void {
    if (thread.work !== undefined) thread.work.threads -= 1
    thread.work = undefined
    thread.worker.unref()
    if (this.#threads.has(thread)) {
      thread.idle = setTimeout(() => void thread.worker.terminate(), IDLE_MS).unref()
    }
    this.#schedule()
  }
}
