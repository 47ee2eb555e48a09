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

/** For a task of a thread that is kept. */
export interface WarmPart {
  /** CPU that the thread had used before, ms. */
  cpuBeforeMs: number
  /** It has ended: CPU that the thread has used in all, and whether it can take another task. */
  ended(exit: RuntimeExit, cpuMs: number): void
  /** Makes the sandbox ready for the next task. */
  remove(): Promise<void>
}

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
  readonly #warm: WarmPart | undefined
  #maxRuntime: NodeJS.Timeout | undefined
  #ended = false
  #removal: Promise<void> | undefined
  #endedAt: number | undefined
  /** Why we ended the thread, when we did. */
  #ourReason: 'stopped' | 'max-runtime' | undefined
  #cpu = { ms: 0, atMs: 0, cores: 0 }

  constructor(
    handle: RuntimeHandle,
    worker: Worker,
    input: WasmTaskInput,
    maxRuntimeMs: number,
    warm?: WarmPart,
  ) {
    this.#warm = warm
    this.handle = handle
    this.#worker = worker
    const stdout = createRingBuffer()
    const stderr = createRingBuffer()
    this.#rings = { stdout: new RingReader(stdout), stderr: new RingReader(stderr) }
    worker.on('message', this.#hear)
    worker.on('error', this.#fail)
    worker.once('exit', this.#leave)
    this.#maxRuntimeMs = maxRuntimeMs
    this.#boundRuntime(maxRuntimeMs)
    worker.postMessage({ ...input, control: this.#control.buffer, stdout, stderr })
  }

  readonly #hear = (message: WorkerMessage) => {
    if (message.kind === 'output') this.#drain()
    else this.#settle(exitOf(message), message.cpuMs)
  }

  readonly #fail = (error: unknown) => this.#settle(exitOfFailure(error))

  readonly #leave = () => {
    this.#settle({
      exitCode: this.#ourReason === undefined ? undefined : KILLED_EXIT_CODE,
      signal: this.#ourReason === undefined ? undefined : 'SIGKILL',
      oom: false,
      reason: this.#ourReason ?? 'engine-lost',
    })
    this.#gone.resolve()
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
    // Once: what comes after it in the thread is another task's.
    this.#removal ??= this.#warm?.remove()
    await this.#removal
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
    // The thread is not this task's any more.
    if (this.#ended && this.#warm !== undefined) return
    if (!this.#ended) this.#ourReason ??= reason
    await this.#worker.terminate()
    await this.#gone.promise
  }

  async #sampleCpu(elapsedMs: number): Promise<void> {
    const usage = await this.#threadCpu()
    let ms = this.#cpu.ms
    const beforeMs = this.#warm?.cpuBeforeMs ?? 0
    if (usage !== undefined) ms = (usage.user + usage.system) / 1000 - beforeMs
    // Older Node versions only tell how busy the thread is, which for a module is its CPU.
    else if (typeof this.#worker.cpuUsage !== 'function') {
      ms = this.#worker.performance.eventLoopUtilization().active - beforeMs
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
    const beforeMs = this.#warm?.cpuBeforeMs ?? 0
    if (cpuMs !== undefined) this.#cpu.ms = Math.max(this.#cpu.ms, cpuMs - beforeMs)
    this.#drain()
    this.#log.end()
    if (this.#warm !== undefined) {
      this.#worker.off('message', this.#hear)
      this.#worker.off('error', this.#fail)
      if (exit.reason === 'exited') {
        this.#worker.off('exit', this.#leave)
        this.#gone.resolve()
      }
      this.#warm.ended(exit, beforeMs + this.#cpu.ms)
    }
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
