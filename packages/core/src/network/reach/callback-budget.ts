import { LIMITS } from '../../limits.ts'

const MINUTE_MS = 60_000

/**
 * How often others may have us dial: so many at a time, so many a minute, and so many a minute for one
 * peer, so that nobody uses us as a hammer.
 */
export class CallbackBudget {
  readonly #now: () => number
  /** When each was begun, the oldest first. */
  readonly #begun: { peer: string; at: number }[] = []
  #running = 0

  constructor(now: () => number = () => performance.now()) {
    this.#now = now
  }

  /**
   * Does it when there is room; undefined: there is none.
   *
   * @param most - for this peer in a minute
   */
  async spend<Result>(
    peer: string,
    most: number,
    work: () => Promise<Result>,
  ): Promise<Result | undefined> {
    const since = this.#now() - MINUTE_MS
    while (this.#begun[0] !== undefined && this.#begun[0].at <= since) this.#begun.shift()
    const ofPeer = this.#begun.filter((each) => each.peer === peer).length
    const full =
      this.#running >= LIMITS.callbacksAtOnce ||
      this.#begun.length >= LIMITS.callbacksPerMinute ||
      ofPeer >= most
    if (full) return undefined
    this.#begun.push({ peer, at: this.#now() })
    this.#running += 1
    try {
      return await work()
    } finally {
      this.#running -= 1
    }
  }
}
