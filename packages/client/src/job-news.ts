import {
  type AttemptEvent,
  type Clock,
  decodeEvents,
  type Network,
  PROTOCOLS,
  type RpcResult,
} from '@manyhands/core'

const AGAIN_MS = { first: 50, most: 2_000 }

/** An attempt of ours, as its host says. */
export type HeldAttempt = RpcResult<'attempt.inventory'>['attempts'][number]

export interface JobNewsOptions {
  peer: string
  network: Network
  clock: Clock
  random: () => number
  /** Something came. */
  word(): void
  event(job: string, event: AttemptEvent): void
  /** What it holds of ours. */
  stock(attempts: HeldAttempt[], askedAt: number): void
}

/**
 * What a host tells of jobs: a stream for each, opened again after every cut. After a cut it is asked what it
 * holds, once for all jobs, since something may have happened that nobody heard of.
 */
export class JobNews {
  readonly #options: JobNewsOptions
  readonly #follows = new Map<string, AbortController>()
  readonly #closing = new AbortController()
  #stock: { askedAt: number; taken: Promise<void> } | undefined
  /** Ends the pauses of those that listen. */
  #reached = new AbortController()

  constructor(options: JobNewsOptions) {
    this.#options = options
  }

  get following(): boolean {
    return this.#follows.size > 0
  }

  /** @param before - something may have been there before: it is asked for first */
  follow(job: string, before: boolean): void {
    if (this.#follows.has(job) || this.#closing.signal.aborted) return
    const stop = new AbortController()
    this.#follows.set(job, stop)
    void this.#listen(job, AbortSignal.any([stop.signal, this.#closing.signal]), before)
  }

  unfollow(job: string): void {
    this.#follows.get(job)?.abort()
    this.#follows.delete(job)
  }

  /** The host is connected, maybe anew: nobody waits any longer to ask again. */
  reached(): void {
    this.#reached.abort()
    this.#reached = new AbortController()
  }

  /** Resolves when it was reached anew, or after that time. */
  async untilReached(ms: number): Promise<void> {
    const signal = AbortSignal.any([this.#reached.signal, this.#closing.signal])
    await this.#options.clock.delay(ms, { signal }).catch(() => {})
  }

  /**
   * Asks what it holds, once for all that want to know.
   *
   * @param since - what was asked at this time or later is new enough; monotonic ms
   */
  takeStock(since: number): Promise<void> {
    const askedAt = this.#options.clock.now()
    if (this.#stock === undefined || this.#stock.askedAt < since) {
      const taken = this.#takeStock(askedAt)
      this.#stock = { askedAt, taken }
      taken.catch(() => {
        if (this.#stock?.taken === taken) this.#stock = undefined
      })
    }
    return this.#stock.taken
  }

  close(): void {
    this.#closing.abort()
  }

  async #takeStock(askedAt: number): Promise<void> {
    const { network, peer, stock } = this.#options
    const { signal } = this.#closing
    const { attempts } = await network.call(peer, 'attempt.inventory', {}, { signal })
    stock(attempts, askedAt)
  }

  async #listen(job: string, signal: AbortSignal, before: boolean): Promise<void> {
    const { network, peer, clock, random } = this.#options
    let waitMs = AGAIN_MS.first
    /** Since when something may have happened that was not heard of. */
    let deafSince = before ? clock.now() : undefined
    while (!signal.aborted) {
      const reached = this.#reached.signal
      try {
        // Finding it again is its contact's affair.
        if (network.isConnected(peer)) {
          const stream = await network.openStream(peer, PROTOCOLS.events, { signal })
          const stop = () => stream.abort()
          signal.addEventListener('abort', stop, { once: true })
          try {
            await stream.send(new TextEncoder().encode(job))
            if (deafSince !== undefined) await this.takeStock(deafSince)
            deafSince = undefined
            for await (const frame of stream) {
              waitMs = AGAIN_MS.first
              this.#options.word()
              for (const event of decodeEvents(frame)) this.#options.event(job, event)
            }
          } finally {
            signal.removeEventListener('abort', stop)
            stream.abort()
          }
        }
      } catch {
        // A host that is gone is the lease's affair; until then it is tried again.
      }
      if (signal.aborted) return
      deafSince ??= clock.now()
      const pause = AbortSignal.any([signal, reached])
      await clock.delay(waitMs * (0.5 + random()), { signal: pause }).catch(() => {})
      waitMs = reached.aborted ? AGAIN_MS.first : Math.min(AGAIN_MS.most, waitMs * 2)
    }
  }
}
