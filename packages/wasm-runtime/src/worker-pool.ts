import { Worker } from 'node:worker_threads'
import { WASM_LIMITS } from './wasm-limits.ts'

/** Runs from source and from the build: the worker lies beside this file in the same language. */
const WORKER = new URL(
  import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js',
  import.meta.url,
)

function startWorker(): Worker {
  const worker = new Worker(WORKER, {
    name: 'manyhands-wasm',
    // Nothing of this process goes with it: no environment, no arguments, no streams.
    env: {},
    argv: [],
    execArgv: [],
    stdin: true,
    stdout: true,
    stderr: true,
    resourceLimits: {
      maxOldGenerationSizeMb: WASM_LIMITS.heapMiB,
      maxYoungGenerationSizeMb: 8,
      stackSizeMb: WASM_LIMITS.stackMiB,
    },
  })
  // A failure before the task listens must not become an uncaught exception.
  worker.on('error', () => {})
  worker.unref()
  return worker
}

/**
 * Threads for tasks. Each runs one task and ends; one more is started in advance while tasks come in,
 * because starting a thread takes longer than many a task.
 */
export class WorkerPool {
  #spare: Worker | undefined
  #idle: NodeJS.Timeout | undefined
  readonly #all = new Set<Worker>()

  take(): Worker {
    const worker = this.#spare ?? this.#start()
    this.#spare = undefined
    worker.ref()
    return worker
  }

  /** Starts a thread for the next task unless one is there. */
  prepare(): void {
    clearTimeout(this.#idle)
    this.#spare ??= this.#start()
    this.#idle = setTimeout(() => {
      void this.#spare?.terminate()
      this.#spare = undefined
    }, WASM_LIMITS.spareIdleMs).unref()
  }

  async close(): Promise<void> {
    clearTimeout(this.#idle)
    this.#spare = undefined
    await Promise.all([...this.#all].map((worker) => worker.terminate()))
  }

  #start(): Worker {
    const worker = startWorker()
    this.#all.add(worker)
    worker.once('exit', () => {
      this.#all.delete(worker)
      if (this.#spare === worker) this.#spare = undefined
    })
    return worker
  }
}
