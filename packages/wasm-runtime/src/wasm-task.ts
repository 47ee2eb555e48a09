import type { Worker } from 'node:worker_threads'
import type { RuntimeExit, RuntimeHandle, RuntimeOutput, RuntimeTask, Usage } from '@manyhands/core'
import { OutputLog } from './output-log.ts'
import { createRingBuffer, RingReader } from './output-ring.ts'
import {
  WorkerControl,
  type WorkerEnd,
  type WorkerMessage,
  type WorkerTask,
} from './worker-protocol.ts'

/** What a shell shows for a program that was killed. */
const KILLED_EXIT_CODE = 137

/** The longest time that a timer takes. */
const TIMER_MAX_MS = 2 ** 31 - 1

/** How often a task whose time is over is looked at while it is paused. */
const OVERDUE_MS = 200

/** How long a running thread has to answer how much CPU it used. */
const CPU_ANSWER_MS = 50

export type WasmTaskInput = Omit<WorkerTask, 'control' | 'stdout' | 'stderr'>

/** The host's side of one module in one thread. */
export class WasmTask implements RuntimeTask {
  readonly handle: RuntimeHandle
  readonly #worker: Worker
  readonly #control = new WorkerControl()
  readonly #rings: { stdout: RingReader; stderr: RingReader }
  readonly #log = new OutputLog()
  readonly #exit = Promise.withResolvers<RuntimeExit>()
  readonly #gone = Promise.withResolvers<void>()
  readonly #startedAt = performance.now()
  readonly #maxRuntimeMs: number
  #maxRuntime: NodeJS.Timeout | undefined
  #ended = false
  #endedAt: number | undefined
  /** Why we ended the thread, when we did. */
  #ourReason: 'stopped' | 'max-runtime' | undefined
  #cpu = { ms: 0, atMs: 0, cores: 0 }

  constructor(handle: RuntimeHandle, worker: Worker, input: WasmTaskInput, maxRuntimeMs: number) {
    this.handle = handle
    this.#worker = worker
    const stdout = createRingBuffer()
    const stderr = createRingBuffer()
    this.#rings = { stdout: new RingReader(stdout), stderr: new RingReader(stderr) }
    worker.on('message', (message: WorkerMessage) => {
      if (message.kind === 'output') this.#drain()
      else this.#settle(exitOf(message), message.cpuMs)
    })
    worker.on('error', (error) => this.#settle(exitOfFailure(error)))
    worker.once('exit', () => {
      this.#settle({
        exitCode: this.#ourReason === undefined ? undefined : KILLED_EXIT_CODE,
        signal: this.#ourReason === undefined ? undefined : 'SIGKILL',
        oom: false,
        reason: this.#ourReason ?? 'engine-lost',
      })
      this.#gone.resolve()
    })
    this.#maxRuntimeMs = maxRuntimeMs
    this.#boundRuntime(maxRuntimeMs)
    worker.postMessage({ ...input, control: this.#control.buffer, stdout, stderr })
  }

  wait(): Promise<RuntimeExit> {
    return this.#exit.promise
  }

  /** Settles when the thread itself is gone, a moment after the task has ended. */
  get gone(): Promise<void> {
    return this.#gone.promise
  }

  output(): AsyncIterable<RuntimeOutput> {
    return this.#log.read()
  }

  async stats(): Promise<Usage> {
    const now = this.#endedAt ?? performance.now()
    const elapsedMs = now - this.#startedAt
    if (!this.#ended) await this.#sampleCpu(elapsedMs)
    const memoryBytes = this.#control.memoryBytes
    return {
      elapsedMs,
      cpu: this.#ended ? 0 : this.#cpu.cores,
      cpuMs: this.#cpu.ms,
      memory: this.#ended ? 0 : memoryBytes,
      // A module's memory never shrinks.
      memoryPeak: memoryBytes,
      pids: this.#ended ? 0 : 1,
      disk: this.#control.diskBytes,
      netIn: 0,
      netOut: 0,
    }
  }

  async pause(): Promise<void> {
    if (!this.#ended) this.#control.paused = true
  }

  async resume(): Promise<void> {
    this.#control.paused = false
  }

  async stop({ graceMs }: { graceMs: number }): Promise<void> {
    if (graceMs > 0 && !this.#ended) {
      const { promise, resolve } = Promise.withResolvers<void>()
      const timer = setTimeout(resolve, Math.min(graceMs, TIMER_MAX_MS))
      await Promise.race([promise, this.#exit.promise])
      clearTimeout(timer)
    }
    await this.kill()
  }

  async kill(): Promise<void> {
    await this.#end('stopped')
  }

  async remove(): Promise<void> {
    await this.kill()
  }

  /** Only time in which it was really held is no run time: a pause is a request here. */
  #boundRuntime(leftMs: number): void {
    this.#maxRuntime = setTimeout(
      () => {
        const ranMs = performance.now() - this.#startedAt - this.#control.heldMs
        const left = this.#control.held ? OVERDUE_MS : this.#maxRuntimeMs - ranMs
        if (left >= 1) this.#boundRuntime(left)
        else void this.#end('max-runtime')
      },
      Math.min(leftMs, TIMER_MAX_MS),
    )
    this.#maxRuntime.unref()
  }

  async #end(reason: 'stopped' | 'max-runtime'): Promise<void> {
    if (!this.#ended) this.#ourReason ??= reason
    await this.#worker.terminate()
    await this.#gone.promise
  }

  async #sampleCpu(elapsedMs: number): Promise<void> {
    const usage = await this.#threadCpu()
    let ms = this.#cpu.ms
    if (usage !== undefined) ms = (usage.user + usage.system) / 1000
    // Older Node versions only tell how busy the thread is, which for a module is its CPU.
    else if (typeof this.#worker.cpuUsage !== 'function') {
      ms = this.#worker.performance.eventLoopUtilization().active
    }
    if (this.#ended) return
    const sinceMs = elapsedMs - this.#cpu.atMs
    const cores = sinceMs > 0 ? Math.max(0, ms - this.#cpu.ms) / sinceMs : this.#cpu.cores
    this.#cpu = { ms: Math.max(ms, this.#cpu.ms), atMs: elapsedMs, cores }
  }

  /** A thread that sleeps or is paused does not answer: what is known then is still true. */
  async #threadCpu(): Promise<{ user: number; system: number } | undefined> {
    if (typeof this.#worker.cpuUsage !== 'function') return undefined
    const { promise, resolve } = Promise.withResolvers<undefined>()
    const timer = setTimeout(resolve, CPU_ANSWER_MS, undefined)
    const answer = this.#worker.cpuUsage().catch(() => undefined)
    const usage = await Promise.race([answer, promise, this.#exit.promise.then(() => undefined)])
    clearTimeout(timer)
    return usage
  }

  #drain(): void {
    this.#log.push('stdout', this.#rings.stdout.read())
    this.#log.push('stderr', this.#rings.stderr.read())
  }

  #settle(exit: RuntimeExit, cpuMs?: number): void {
    if (this.#ended) return
    this.#ended = true
    this.#endedAt = performance.now()
    clearTimeout(this.#maxRuntime)
    if (cpuMs !== undefined) this.#cpu.ms = Math.max(this.#cpu.ms, cpuMs)
    this.#drain()
    this.#log.end()
    this.#exit.resolve(exit)
  }
}

function exitOf(end: WorkerEnd): RuntimeExit {
  if (end.fault !== undefined) {
    return {
      exitCode: undefined,
      signal: undefined,
      oom: false,
      reason: 'engine-lost',
      detail: end.fault,
    }
  }
  return {
    exitCode: end.exitCode,
    signal: undefined,
    oom: end.oom && !end.disk,
    reason: end.disk ? 'disk' : 'exited',
  }
}

function exitOfFailure(error: unknown): RuntimeExit {
  const { code, message } = error as NodeJS.ErrnoException
  if (code === 'ERR_WORKER_OUT_OF_MEMORY') {
    return {
      exitCode: KILLED_EXIT_CODE,
      signal: undefined,
      oom: true,
      reason: 'exited',
      detail: 'the heap of the thread is full',
    }
  }
  return {
    exitCode: undefined,
    signal: undefined,
    oom: false,
    reason: 'engine-lost',
    detail: `the thread failed: ${message}`,
  }
}
