import { constants } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import {
  BoundedOutput,
  LIMITS,
  type Resources,
  type RuntimeConnection,
  type RuntimeExec,
  type RuntimeExit,
  type RuntimeHandle,
  type RuntimeOutput,
  type RuntimeTask,
  type Usage,
} from '@manyhands/core'
import type { DockerTask } from '../docker-task.ts'
import { RunClock } from '../run-clock.ts'
import { endedWithContainer, programExit } from './program-exit.ts'
import type { ProgramNews } from './program-frames.ts'

/** The first process ends a program at its limit; the whole container goes only if that has not come about. */
const BACKSTOP_MS = 2000

export interface WarmTaskOptions {
  container: DockerTask
  /** Usage of the whole sandbox that others have counted, and its kills for want of memory, when the task begins. */
  before: Usage
  oomKills: number
  maxRuntimeMs: number
  signal(signal: number): void
  /** Makes what is left stand still and measures it; what it answers is added to the end. */
  settle(exit: RuntimeExit, left: { residents: boolean; held: boolean }): Promise<RuntimeExit>
  /** What its container had used when it ended. */
  ended(usage: Usage): void
  /** Makes the sandbox ready for the next task, or ends it. */
  remove(): Promise<void>
}

/** One task of a warm container: its container's controls, and an end, an output and a usage of its own. */
export class WarmTask implements RuntimeTask {
  readonly handle: RuntimeHandle
  readonly image: string
  readonly #options: WarmTaskOptions
  readonly #output = new BoundedOutput(LIMITS.logBytes)
  readonly #done = Promise.withResolvers<RuntimeExit>()
  readonly #begun = Promise.withResolvers<number | undefined>()
  readonly #startedAt = performance.now()
  readonly #clock: RunClock
  #peak = 0
  #last: Usage
  #ended: { at: number; usage: Usage } | undefined
  #ending = false
  #stopped = false
  #held = false
  #removal: Promise<void> | undefined

  constructor(options: WarmTaskOptions) {
    this.#options = options
    this.#last = options.before
    this.handle = options.container.handle
    this.image = options.container.image
    this.#clock = new RunClock(options.maxRuntimeMs + BACKSTOP_MS, () =>
      options.container.overdue(),
    )
    this.#clock.resume()
  }

  /** Resolves when its program runs, or with the error number for which it does not. */
  get begun(): Promise<number | undefined> {
    return this.#begun.promise
  }

  /** The container has ended, and the task with it. */
  lost(exit: RuntimeExit): void {
    this.#begun.resolve(undefined)
    void this.#end(endedWithContainer(exit), false)
  }

  hear(news: ProgramNews): void {
    if (news.kind === 'output') this.#output.push(news.stream, news.bytes)
    else if (news.kind === 'started') this.#begun.resolve(undefined)
    else if (news.kind === 'cannot-start') this.#begun.resolve(news.error)
    else if (news.kind === 'ended') {
      const { container, oomKills } = this.#options
      const exit = programExit(news, container.oomKills > oomKills)
      const stopped = this.#stopped && exit.reason === 'exited'
      void this.#end(stopped ? { ...exit, reason: 'stopped' } : exit, news.residents)
    }
  }

  wait(): Promise<RuntimeExit> {
    return this.#done.promise
  }

  output(): AsyncIterable<RuntimeOutput> {
    return this.#output.read()
  }

  async stats(): Promise<Usage> {
    if (this.#ended !== undefined) return { ...this.#ended.usage, cpu: 0, memory: 0, pids: 0 }
    return this.#sample()
  }

  async pause(): Promise<void> {
    if (this.#ending) return
    this.#held = true
    await this.#options.container.pause()
    this.#clock.pause()
  }

  async resume(): Promise<void> {
    if (this.#ending) return
    await this.#options.container.resume()
    this.#held = false
    this.#clock.resume()
  }

  async limit(change: Partial<Pick<Resources, 'cpus' | 'memoryBytes' | 'pids'>>): Promise<void> {
    if (!this.#ending) await this.#options.container.limit(change)
  }

  async stop({ graceMs }: { graceMs: number }): Promise<void> {
    if (this.#ending) return
    this.#stopped = true
    this.#options.signal(constants.signals.SIGTERM)
    const waiting = new AbortController()
    const { container } = this.#options
    await Promise.race([
      delay(Math.min(graceMs, 2 ** 31 - 1), undefined, { ref: false, signal: waiting.signal }),
      this.#done.promise,
      container.wait(),
    ]).catch(() => {})
    waiting.abort()
    await this.kill()
  }

  /** With its sandbox: nobody would say what a task that is killed had done to it. */
  async kill(): Promise<void> {
    // One that is ending already has nothing left that runs.
    if (!this.#ending) await this.#options.container.kill()
    await this.#done.promise
  }

  /** Once: what comes after it in the sandbox is another task's. */
  remove(): Promise<void> {
    this.#removal ??= this.#options.remove().catch((error: unknown) => {
      // The next call tries again.
      this.#removal = undefined
      throw error
    })
    return this.#removal
  }

  exec(argv: string[], options: { signal?: AbortSignal }): Promise<RuntimeExec> {
    return this.#options.container.exec(argv, options)
  }

  dial(port: number, options: { signal?: AbortSignal }): Promise<RuntimeConnection> {
    return this.#options.container.dial(port, options)
  }

  async #end(exit: RuntimeExit, residents: boolean): Promise<void> {
    if (this.#ending) return
    this.#ending = true
    this.#clock.pause()
    this.#begun.resolve(undefined)
    this.#output.close()
    // One that somebody paused in its last moment is in a state that only its engine knows.
    const settled = await this.#options.settle(exit, { residents, held: this.#held })
    const usage = await this.#sample().catch(() => this.#options.before)
    this.#ended = { at: performance.now(), usage }
    this.#options.ended(this.#last)
    this.#done.resolve(settled)
  }

  /** Of this task alone, where the kernel counts for the whole life of a container. */
  async #sample(): Promise<Usage> {
    const { container, before } = this.#options
    const now = await container.stats()
    this.#last = now
    // A peak that did not grow was an earlier task's.
    const peak = now.memoryPeak > before.memoryPeak ? now.memoryPeak : now.memory
    this.#peak = Math.max(this.#peak, peak)
    return {
      ...now,
      elapsedMs: performance.now() - this.#startedAt,
      cpuMs: Math.max(0, now.cpuMs - before.cpuMs),
      memoryPeak: this.#peak,
      netIn: Math.max(0, now.netIn - before.netIn),
      netOut: Math.max(0, now.netOut - before.netOut),
    }
  }
}
