import type { Connection } from '@libp2p/interface'

export type Attempt = (signal: AbortSignal) => Promise<Connection>

/**
 * Ways to one peer that are tried beside each other: the next one begins when those before it have
 * failed, or have had their time. The first that works counts; who comes later is told to `late`.
 */
export class DialRace {
  readonly #signal: AbortSignal
  readonly #late: (connection: Connection) => void
  readonly #errors: unknown[] = []
  #open = 0
  #stirred = Promise.withResolvers<void>()
  #winner: Connection | undefined

  constructor(signal: AbortSignal, late: (connection: Connection) => void) {
    this.#signal = signal
    this.#late = late
  }

  get over(): boolean {
    return this.#winner !== undefined || this.#signal.aborted
  }

  add(attempt: Attempt): void {
    this.#open += 1
    attempt(this.#signal)
      .then((connection) => {
        if (this.#winner === undefined) this.#winner = connection
        else if (this.#winner !== connection) this.#late(connection)
      })
      .catch((error) => this.#errors.push(error))
      .finally(() => {
        this.#open -= 1
        const stirred = this.#stirred
        this.#stirred = Promise.withResolvers()
        stirred.resolve()
      })
  }

  /** Resolves when one has won, all that were added have failed, or the time is over. */
  async wait(ms: number): Promise<void> {
    const over = Promise.withResolvers<void>()
    const timer = setTimeout(over.resolve, ms).unref()
    const onAbort = () => over.resolve()
    this.#signal.addEventListener('abort', onAbort, { once: true })
    try {
      let timedOut = false
      const timeout = over.promise.then(() => {
        timedOut = true
      })
      while (!timedOut && !this.over && this.#open > 0) {
        await Promise.race([this.#stirred.promise, timeout])
      }
    } finally {
      clearTimeout(timer)
      over.resolve()
      this.#signal.removeEventListener('abort', onAbort)
    }
  }

  /** The one that won. @throws why none did, or the signal's reason */
  async result(): Promise<Connection> {
    while (!this.over && this.#open > 0) await this.wait(NEVER_MS)
    if (this.#winner !== undefined) return this.#winner
    this.#signal.throwIfAborted()
    if (this.#errors.length === 1) throw this.#errors[0]
    // Rejects with all of them.
    return await Promise.any(this.#errors.map((error) => Promise.reject(error)))
  }
}

/** As long as a timer can be: the signal ends it before. */
const NEVER_MS = 2 ** 31 - 1
