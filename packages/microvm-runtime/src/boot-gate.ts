/**
 * Lets a few machines boot at once and the others wait in line: a boot keeps a core busy, and more of
 * them than there are cores are all late together.
 */
export class BootGate {
  readonly #waiting: (() => void)[] = []
  #free: number

  constructor(places: number) {
    this.#free = places
  }

  /** Runs `boot` when there is a place. @throws the signal's reason while it waits */
  async pass<T>(boot: () => Promise<T>, signal: AbortSignal): Promise<T> {
    await this.#enter(signal)
    try {
      return await boot()
    } finally {
      const next = this.#waiting.shift()
      if (next === undefined) this.#free += 1
      else next()
    }
  }

  async #enter(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    if (this.#free > 0) {
      this.#free -= 1
      return
    }
    const turn = Promise.withResolvers<void>()
    const leave = () => {
      const index = this.#waiting.indexOf(turn.resolve)
      // A turn that has come is not given back here.
      if (index < 0) return
      this.#waiting.splice(index, 1)
      turn.reject(signal.reason)
    }
    this.#waiting.push(turn.resolve)
    signal.addEventListener('abort', leave, { once: true })
    try {
      await turn.promise
    } finally {
      signal.removeEventListener('abort', leave)
    }
  }
}
