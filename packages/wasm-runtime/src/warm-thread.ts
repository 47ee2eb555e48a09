import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Worker } from 'node:worker_threads'
import {
  emptyTree,
  finishSetup,
  isCleanExit,
  ManyhandsError,
  type RuntimeHandle,
  type RuntimeSpec,
  type WarmSandbox,
  type WarmSpec,
  type WarmTaskSpec,
} from '@manyhands/core'
import { programOf } from './program-arguments.ts'
import { WasmTask } from './wasm-task.ts'
import type { WorkerMemory } from './worker-protocol.ts'

export interface WarmThreadOptions {
  handle: RuntimeHandle
  worker: Worker
  module: WebAssembly.Module
  memory: WorkerMemory | undefined
  spec: WarmSpec
  dir: string
}

/** A thread and a compiled module that are kept. Instances, and with them all memory, are each task's own. */
export class WarmThread implements WarmSandbox {
  readonly handle: RuntimeHandle
  readonly outDir: string
  readonly #options: WarmThreadOptions
  readonly #gone = Promise.withResolvers<void>()
  #module: WebAssembly.Module | undefined
  #usable = true
  #busy = false
  #cpuMs = 0

  private constructor(options: WarmThreadOptions) {
    this.#options = options
    this.handle = options.handle
    this.outDir = join(options.dir, 'out')
    this.#module = options.module
    options.worker.once('exit', () => {
      this.#usable = false
      this.#gone.resolve()
    })
    options.worker.on('error', () => {
      this.#usable = false
    })
  }

  static async open(options: WarmThreadOptions): Promise<WarmThread> {
    const thread = new WarmThread(options)
    await mkdir(thread.outDir, { recursive: true })
    return thread
  }

  get usable(): boolean {
    return this.#usable
  }

  /** Settles when the thread is gone. */
  get gone(): Promise<void> {
    return this.#gone.promise
  }

  /** @throws SETUP_FAILED, COMMAND_INVALID */
  async setUp(argv: string[], inDir: string | undefined, signal: AbortSignal): Promise<void> {
    const counted = this.#cpuMs
    const task = this.#start({ ...this.#options.spec, command: argv }, inDir)
    await finishSetup(task, signal)
    // What it used is its first task's.
    this.#cpuMs = counted
  }

  async run(task: WarmTaskSpec, { signal }: { signal: AbortSignal }): Promise<WasmTask> {
    signal.throwIfAborted()
    if (this.#busy || !this.#usable) {
      const why = this.#busy ? 'runs a task' : 'takes no more tasks'
      throw new ManyhandsError('RUNTIME_FAILED', `the warm sandbox ${why}`)
    }
    try {
      return this.#start({ ...this.#options.spec, ...task }, task.inDir)
    } catch (error) {
      this.#usable = false
      throw error
    }
  }

  async close(): Promise<void> {
    this.#usable = false
    await this.#options.worker.terminate()
    await this.#gone.promise
  }

  #start(spec: RuntimeSpec, inDir: string | undefined): WasmTask {
    const { handle, worker, memory, dir: _ } = this.#options
    const { memoryBytes, diskBytes } = spec.resources
    const module = this.#module
    const program = programOf(spec, spec.image)
    this.#busy = true
    // It has it from now on.
    this.#module = undefined
    return new WasmTask(
      handle,
      worker,
      {
        ...program,
        module,
        memory,
        warmTmpBytes: Math.min(diskBytes, Math.floor(memoryBytes / 2)),
        inDir,
        outDir: this.outDir,
        diskBytes,
      },
      spec.maxRuntimeMs,
      {
        cpuBeforeMs: this.#cpuMs,
        ended: (exit, cpuMs) => {
          this.#cpuMs = cpuMs
          if (!isCleanExit(exit)) this.#usable = false
        },
        remove: () => this.#clear(),
      },
    )
  }

  async #clear(): Promise<void> {
    if (!this.#usable) return this.close()
    try {
      await emptyTree(this.outDir)
      this.#busy = false
    } catch (cause) {
      this.#usable = false
      throw cause
    }
  }
}
