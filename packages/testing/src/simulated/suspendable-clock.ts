import type { Clock } from '@manyhands/core'
import { clockDelay } from './clock-delay.ts'

interface Suspended {
  leftMs: number
  call: () => void
}

interface Running {
  dueAt: number
  call: () => void
  cancel: () => void
}

/**
 * The time of one computer: it stands still while that is suspended, and what was to happen on it happens
 * so much later. Nothing that was asked for before {@link stop} happens after it.
 */
export class SuspendableClock implements Clock {
  readonly #outer: Clock
  #running = new Map<object, Running>()
  #suspended: Map<object, Suspended> | undefined
  #suspendedAt = 0
  #lostMs = 0
  #stopped = false

  constructor(outer: Clock) {
    this.#outer = outer
  }

  readonly now = (): number => {
    const now = this.#suspended === undefined ? this.#outer.now() : this.#suspendedAt
    return now - this.#lostMs
  }

  date(): Date {
    return this.#outer.date()
  }

  after(ms: number, call: () => void): () => void {
    const key = {}
    if (this.#stopped) return () => {}
    if (this.#suspended !== undefined) this.#suspended.set(key, { leftMs: ms, call })
    else this.#run(key, ms, call)
    return () => {
      this.#running.get(key)?.cancel()
      this.#running.delete(key)
      this.#suspended?.delete(key)
    }
  }

  every(ms: number, call: () => void): () => void {
    let cancel: () => void
    const again = () => {
      cancel = this.after(ms, again)
      call()
    }
    cancel = this.after(ms, again)
    return () => cancel()
  }

  soon(call: () => void): void {
    this.after(0, call)
  }

  delay(ms: number, options?: { signal?: AbortSignal }): Promise<void> {
    return clockDelay({ after: (after, call) => this.after(after, call) }, ms, options)
  }

  suspend(): void {
    if (this.#suspended !== undefined) return
    const now = this.#outer.now()
    this.#suspendedAt = now
    this.#suspended = new Map()
    for (const [key, { dueAt, call, cancel }] of this.#running) {
      cancel()
      this.#suspended.set(key, { leftMs: Math.max(0, dueAt - now), call })
    }
    this.#running.clear()
  }

  resume(): void {
    const suspended = this.#suspended
    if (suspended === undefined) return
    this.#suspended = undefined
    this.#lostMs += this.#outer.now() - this.#suspendedAt
    for (const [key, { leftMs, call }] of suspended) this.#run(key, leftMs, call)
  }

  stop(): void {
    this.#stopped = true
    for (const { cancel } of this.#running.values()) cancel()
    this.#running.clear()
    this.#suspended?.clear()
  }

  #run(key: object, ms: number, call: () => void): void {
    const cancel = this.#outer.after(ms, () => {
      this.#running.delete(key)
      call()
    })
    this.#running.set(key, { dueAt: this.#outer.now() + ms, call, cancel })
  }
}
