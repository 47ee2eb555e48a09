import { setTimeout as delay } from 'node:timers/promises'

/**
 * Time as a program sees it. Whatever waits, measures or stamps takes one, so that the same code runs
 * on this computer's time and on a simulated one.
 */
export interface Clock {
  /** Monotonic milliseconds; differences mean something, the number itself does not. */
  now(): number
  /** The wall clock, for stamps that people read; nothing is ever computed from it. */
  date(): Date
  /**
   * Calls once after so many milliseconds; the answer cancels.
   *
   * @param options.ref - whether a process that has nothing else to do waits for it; default: no
   */
  after(ms: number, call: () => void, options?: { ref?: boolean }): () => void
  /** Calls again and again; the answer ends that. Never keeps a process alive. */
  every(ms: number, call: () => void): () => void
  /** Calls when everything that is already due has happened. */
  soon(call: () => void): void
  /** Resolves after so many milliseconds. Rejects with the reason of the signal. */
  delay(ms: number, options?: { signal?: AbortSignal }): Promise<void>
}

/** The time of this computer. */
export const systemClock: Clock = {
  now: () => performance.now(),
  date: () => new Date(),
  after(ms, call, { ref = false } = {}) {
    const timer = setTimeout(call, ms)
    if (!ref) timer.unref()
    return () => clearTimeout(timer)
  },
  every(ms, call) {
    const timer = setInterval(call, ms).unref()
    return () => clearInterval(timer)
  },
  soon(call) {
    setImmediate(call)
  },
  async delay(ms, { signal } = {}) {
    await delay(ms, undefined, { signal, ref: false }).catch((cause) => {
      throw signal?.aborted ? signal.reason : cause
    })
  },
}
