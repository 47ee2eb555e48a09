import { constants } from 'node:os'
import {
  BoundedOutput,
  LIMITS,
  ManyhandsError,
  type Resources,
  type RuntimeExit,
  type RuntimeHandle,
  type RuntimeOutput,
  type RuntimeTask,
  type Usage,
} from '@manyhands/core'
import type { BootedMachine } from './boot-machine.ts'
import { encodeLimits, GuestFault, TO_GUEST } from './guest-protocol.ts'
import { GuestReport } from './guest-report.ts'
import { machineExit, type OwnEnd } from './machine-exit.ts'
import { MachineUsage } from './machine-usage.ts'
import { MICROVM_LIMITS } from './microvm-limits.ts'
import { OutputTooLarge, OutputWriter } from './output-writer.ts'
import { PausableTimer } from './pausable-timer.ts'

const TIMER_MAX_MS = 2 ** 31 - 1

export interface MicrovmTaskOptions {
  handle: RuntimeHandle
  booted: BootedMachine
  outDir: string
  resources: Resources
  maxRuntimeMs: number
  /** Clears what the machine had on this computer. */
  onGone: () => Promise<void>
}

/** The host's side of one machine whose task runs. */
export class MicrovmTask implements RuntimeTask {
  readonly handle: RuntimeHandle
  readonly #options: MicrovmTaskOptions
  readonly #output = new BoundedOutput(LIMITS.logBytes)
  readonly #writer: OutputWriter
  readonly #report: GuestReport
  readonly #usage: MachineUsage
  readonly #done = Promise.withResolvers<RuntimeExit>()
  /** The task itself is over; what it left may still be on its way. */
  readonly #over = Promise.withResolvers<void>()
  readonly #limits = new Map<number, () => void>()
  #limitId = 0
  readonly #timer = new PausableTimer()
  #ownEnd: OwnEnd
  #fault: string | undefined
  #trouble: string | undefined
  #paused = false

  constructor(options: MicrovmTaskOptions) {
    this.#options = options
    this.handle = options.handle
    this.#writer = new OutputWriter(options.outDir, options.resources.diskBytes)
    this.#usage = new MachineUsage(this.#machine.pid)
    this.#report = new GuestReport({
      output: this.#output,
      writer: this.#writer,
      onStatus: (status) => this.#usage.report(status),
      onLimited: (id) => this.#limits.get(id)?.(),
      onEnd: () => this.#collect(),
    })
    // The guest keeps this time itself; a machine that is late does not.
    this.#endAfter(options.maxRuntimeMs + MICROVM_LIMITS.overtimeMs, () => {
      this.#ownEnd ??= 'max-runtime'
    })
    void this.#follow()
  }

  wait(): Promise<RuntimeExit> {
    return this.#done.promise
  }

  output(): AsyncIterable<RuntimeOutput> {
    return this.#output.read()
  }

  async stats(): Promise<Usage> {
    return this.#usage.sample()
  }

  async pause(): Promise<void> {
    this.#paused = true
    this.#timer.pause()
    this.#machine.pause()
  }

  async resume(): Promise<void> {
    this.#paused = false
    this.#timer.resume()
    this.#machine.resume()
  }

  async limit(change: Partial<Pick<Resources, 'cpus' | 'memoryBytes' | 'pids'>>): Promise<void> {
    if (!this.#running) return
    this.#assertFits(change)
    this.#limitId += 1
    const number = this.#limitId
    const changed = Promise.withResolvers<void>()
    this.#limits.set(number, changed.resolve)
    this.#machine.send(TO_GUEST.limit, Buffer.concat([uint32(number), encodeLimits(change)]))
    const late = Promise.withResolvers<never>()
    const timer = setTimeout(
      () => late.reject(new ManyhandsError('RUNTIME_FAILED', 'the machine does not take limits')),
      MICROVM_LIMITS.limitMs,
    )
    timer.unref()
    try {
      // A paused machine cannot answer; it takes them first when it goes on.
      if (!this.#paused) await Promise.race([changed.promise, this.#over.promise, late.promise])
    } finally {
      clearTimeout(timer)
      this.#limits.delete(number)
    }
  }

  async stop({ graceMs }: { graceMs: number }): Promise<void> {
    if (this.#running) {
      this.#ownEnd ??= 'stopped'
      this.#machine.send(TO_GUEST.signal, uint32(constants.signals.SIGTERM))
      const grace = Promise.withResolvers<void>()
      const timer = setTimeout(grace.resolve, Math.min(graceMs, TIMER_MAX_MS))
      timer.unref()
      await Promise.race([grace.promise, this.#over.promise])
      clearTimeout(timer)
      if (this.#running) await this.kill()
    }
    await this.#done.promise
  }

  async kill(): Promise<void> {
    if (this.#report.whole === undefined && this.#machine.running) this.#ownEnd ??= 'stopped'
    await this.#machine.kill()
    await this.#done.promise
  }

  remove(): Promise<void> {
    return this.kill()
  }

  get #machine() {
    return this.#options.booted.machine
  }

  /** Whether the task itself runs. */
  get #running(): boolean {
    return this.#machine.running && this.#report.end === undefined
  }

  async #follow(): Promise<void> {
    try {
      for await (const frame of this.#options.booted.frames) {
        await this.#report.take(frame)
        if (this.#report.whole !== undefined) break
      }
    } catch (error) {
      if (error instanceof OutputTooLarge) this.#ownEnd ??= 'disk'
      else if (error instanceof GuestFault) this.#fault = error.message
      else this.#trouble = (error as Error).message
    }
    this.#timer.cancel()
    this.#usage.end()
    await this.#machine.kill()
    this.#over.resolve()
    this.#output.close()
    await this.#writer.close().catch(() => {})
    await this.#options.onGone()
    const { end, whole, skipped } = this.#report
    const { lastWords } = this.#machine
    const [ownEnd, fault, trouble] = [this.#ownEnd, this.#fault, this.#trouble]
    this.#done.resolve(machineExit({ end, whole, skipped, ownEnd, fault, trouble, lastWords }))
  }

  /** From now on the machine has a bounded time to hand over what there is. */
  #collect(): void {
    this.#over.resolve()
    this.#output.close()
    const { collectMs, collectBytesPerSecond } = MICROVM_LIMITS
    const { diskBytes } = this.#options.resources
    this.#endAfter(collectMs + (diskBytes / collectBytesPerSecond) * 1000, () => {
      this.#trouble = 'the machine took too long to hand them over'
    })
  }

  #endAfter(ms: number, note: () => void): void {
    this.#timer.start(ms, () => {
      note()
      void this.#machine.kill()
    })
  }

  #assertFits(change: Partial<Resources>): void {
    const { cpus, memoryBytes } = this.#options.resources
    if ((change.cpus ?? 0) <= Math.ceil(cpus) && (change.memoryBytes ?? 0) <= memoryBytes) return
    throw new ManyhandsError(
      'UNSUPPORTED',
      `a machine cannot grow: it was made for ${Math.ceil(cpus)} cores and ${memoryBytes} bytes`,
    )
  }
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}
