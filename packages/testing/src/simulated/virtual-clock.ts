import { nextTick } from 'node:process'
import { type Clock, type Duration, parseDuration } from '@manyhands/core'
import { clockDelay } from './clock-delay.ts'
import { realWorkPending } from './real-work.ts'
import { Timeline, type TimelineEntry } from './timeline.ts'

/** How often a timer rings that is there only to be there, ms. */
const STAYING_MS = 60_000
/** Turns of the clock to one of the event loop. */
const LOOP_TURNS = 64
/** When a virtual clock begins, if nothing else is said. */
const BEGINNING = Date.UTC(2026, 0, 1)

/**
 * A clock whose time is made of what happens: it stands still while this process has something to do, and
 * jumps to the next thing that was asked for when it has not. What is done on it is done in the same order
 * each time, as long as it waits for nothing but the clock, promises, turns of the event loop and files.
 *
 * Time passes only while somebody waits with {@link during} or {@link pass}: between two calls of a
 * program nothing happens, however long the program takes. Real timers, threads and sockets are not seen;
 * what waits for them does so in {@link still}.
 *
 * @example
 * const clock = createVirtualClock()
 * clock.after(60_000, () => console.log('a minute later'))
 * await clock.pass('1h') // at once
 */
export interface VirtualClock extends Clock {
  /** Things that have happened. */
  readonly events: number
  /** Time passes until this settles. The process stays for it. */
  during<Value>(work: PromiseLike<Value>): Promise<Value>
  /** Time stands still until this settles, whoever waits. */
  still<Value>(work: PromiseLike<Value>): Promise<Value>
  /** Time passes for so long. */
  pass(duration: Duration): Promise<void>
  /** Nothing happens any more. */
  close(): void
}

export function createVirtualClock(options: { beginning?: Date } = {}): VirtualClock {
  return new JumpingClock(options.beginning?.getTime() ?? BEGINNING)
}

class JumpingClock implements VirtualClock {
  readonly #beginning: number
  readonly #timeline = new Timeline()
  #now = 0
  #soon: (() => void)[] = []
  #events = 0
  #waiting = 0
  #staying: NodeJS.Timeout | undefined
  #held = 0
  #turning = false
  #turns = 0
  #closed = false

  constructor(beginning: number) {
    this.#beginning = beginning
  }

  get events(): number {
    return this.#events
  }

  // Passed around without its object.
  readonly now = (): number => this.#now

  date(): Date {
    return new Date(this.#beginning + this.#now)
  }

  after(ms: number, call: () => void): () => void {
    const entry = this.#add(ms, call)
    return () => this.#timeline.cancel(entry)
  }

  every(ms: number, call: () => void): () => void {
    // Less than a moment apart, time would never pass.
    const period = Math.max(1, ms)
    let entry: TimelineEntry
    const again = () => {
      entry = this.#add(period, again)
      call()
    }
    entry = this.#add(period, again)
    return () => this.#timeline.cancel(entry)
  }

  soon(call: () => void): void {
    this.#soon.push(call)
    this.#turnSoon()
  }

  delay(ms: number, options?: { signal?: AbortSignal }): Promise<void> {
    return clockDelay({ after: (after, call) => this.after(after, call) }, ms, options)
  }

  async during<Value>(work: PromiseLike<Value>): Promise<Value> {
    this.#waiting += 1
    // What is waited for may be on a thread or a timer that keeps no process alive.
    this.#staying ??= setInterval(() => {}, STAYING_MS)
    this.#turnSoon()
    try {
      return await work
    } finally {
      this.#waiting -= 1
      if (this.#waiting === 0) {
        clearInterval(this.#staying)
        this.#staying = undefined
      }
    }
  }

  async still<Value>(work: PromiseLike<Value>): Promise<Value> {
    this.#held += 1
    try {
      return await work
    } finally {
      this.#held -= 1
      this.#turnSoon()
    }
  }

  pass(duration: Duration): Promise<void> {
    return this.during(this.delay(parseDuration(duration)))
  }

  close(): void {
    this.#closed = true
  }

  #add(ms: number, call: () => void): TimelineEntry {
    const entry = this.#timeline.add(this.#now + Math.max(0, ms), call)
    this.#turnSoon()
    return entry
  }

  get #runs(): boolean {
    return !this.#closed && this.#waiting > 0 && this.#held === 0
  }

  /** Whether there is something to do that needs no real work to be over first. */
  get #awaits(): boolean {
    return this.#soon.length > 0 || (this.#runs && this.#timeline.next !== undefined)
  }

  #turnSoon(): void {
    if (this.#turning || !this.#awaits) return
    this.#turning = true
    setImmediate(() => this.#turn())
  }

  #turn(): void {
    let pending: boolean
    try {
      pending = this.#step()
    } finally {
      this.#turning = false
    }
    if (!this.#awaits) return
    this.#turning = true
    this.#turns += 1
    // Ticks begin when no promise is left to be continued, and cost less than a turn of the event loop;
    // which comes all the same where there is something in it, and now and then for what is not ours.
    if (pending || this.#turns % LOOP_TURNS === 0) setImmediate(() => this.#turn())
    else queueMicrotask(() => nextTick(() => this.#turn()))
  }

  /** One step on; answers whether real work keeps time from passing. */
  #step(): boolean {
    const soon = this.#soon
    if (soon.length > 0) {
      this.#soon = []
      for (const call of soon) call()
      return false
    }
    if (realWorkPending()) return true
    const next = this.#runs ? this.#timeline.next : undefined
    if (next === undefined) return false
    this.#now = next
    for (const entry of this.#timeline.due(next)) {
      // One of the same moment may have called it off.
      if (entry.canceled) continue
      this.#events += 1
      entry.call()
    }
    return false
  }
}
