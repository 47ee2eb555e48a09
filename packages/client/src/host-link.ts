import {
  type AttemptEvent,
  type AttemptSpec,
  type Clock,
  decodeEvents,
  LIMITS,
  type Network,
  type Offer,
  PROTOCOLS,
  type RpcResult,
  type WireAttempt,
} from '@manyhands/core'

/** A host is suspect after this many heartbeats without a renewal, lost after the lease. */
const SUSPECT_HEARTBEATS = 3
const LEASE_HEARTBEATS = 6 * 1.02
/** How long acknowledgements wait for company, ms. */
const ACKNOWLEDGE_MS = 5
const HEARTBEAT_MS = { least: 100, most: 60_000 }
const RECONNECT_MS = { first: 50, most: 2_000 }

export interface HostLinkEvents {
  event(host: string, job: string, event: AttemptEvent): void
  /** The host was reached again after a cut, and holds these attempts of ours. */
  inventory(host: string, ids: ReadonlySet<string>, askedAt: number): void
  /** What the host has to repeat in its receipt of an attempt. */
  nonceOf(job: string, host: string, attempt: string): string
  /** Public key of a job. */
  ownerOf(job: string): string
}

/**
 * The working relation to one host: the lease, one event stream per job, requests that may wait for
 * company. It keeps reconnecting while there is something to wait for.
 */
export class HostLink {
  readonly peer: string
  readonly #network: Network
  readonly #clock: Clock
  readonly #random: () => number
  readonly #events: HostLinkEvents
  readonly #follows = new Map<string, AbortController>()
  readonly #closing = new AbortController()
  #heartbeatMs: number
  #heardAt: number
  #acknowledge: string[] = []
  #acknowledging: Promise<void> | undefined

  constructor(
    peer: string,
    parts: {
      network: Network
      clock: Clock
      random: () => number
      heartbeatMs: number
      events: HostLinkEvents
    },
  ) {
    this.peer = peer
    this.#network = parts.network
    this.#clock = parts.clock
    this.#random = parts.random
    this.#heartbeatMs = parts.heartbeatMs
    this.#events = parts.events
    this.#heardAt = parts.clock.now()
  }

  get heartbeatMs(): number {
    return this.#heartbeatMs
  }

  /** A renewal or an answer of the host: the lease starts anew. */
  heard(): void {
    this.#heardAt = this.#clock.now()
  }

  get leaseMs(): number {
    return LEASE_HEARTBEATS * this.#heartbeatMs
  }

  get leaseState(): 'held' | 'suspect' | 'over' {
    const silentMs = this.#clock.now() - this.#heardAt
    if (silentMs > this.leaseMs) return 'over'
    return silentMs > SUSPECT_HEARTBEATS * this.#heartbeatMs ? 'suspect' : 'held'
  }

  /** Introduces ourselves. @throws PROTOCOL when the peer is no host */
  async hello(): Promise<Offer> {
    const answer = await this.#network.call(
      this.peer,
      'hello',
      { v: 1, agent: 'manyhands/0.1', heartbeatMs: this.#heartbeatMs },
      { signal: this.#closing.signal },
    )
    // Within reason: a lease that never ends is none.
    this.#heartbeatMs = Math.min(
      HEARTBEAT_MS.most,
      Math.max(HEARTBEAT_MS.least, answer.heartbeatMs),
    )
    this.heard()
    return answer.offer
  }

  async offer(
    job: { id: string; name: string },
    spec: AttemptSpec,
    attempts: WireAttempt[],
  ): Promise<RpcResult<'attempt.offer'>> {
    const answer = await this.#network.call(
      this.peer,
      'attempt.offer',
      {
        job: job.id,
        jobName: job.name,
        owner: this.#events.ownerOf(job.id),
        spec,
        proofs: true,
        attempts: attempts.map((attempt) => ({
          ...attempt,
          nonce: this.#events.nonceOf(job.id, this.peer, attempt.id),
        })),
      },
      { signal: this.#closing.signal },
    )
    this.heard()
    return answer
  }

  /** The host may forget this end. Sent soon, together with others; a lost one is repeated by the host. */
  acknowledge(id: string): void {
    // A host that cannot be told repeats the end later; the newest are worth most.
    if (this.#acknowledge.length >= LIMITS.attemptsPerClient) this.#acknowledge.shift()
    this.#acknowledge.push(id)
    this.#acknowledging ??= this.#flush().finally(() => {
      this.#acknowledging = undefined
    })
  }

  /** Ends attempts there. A host that cannot be reached ends them with the lease. */
  async cancel(ids: string[], reason: string): Promise<void> {
    if (ids.length === 0) return
    try {
      await this.#network.call(
        this.peer,
        'attempt.cancel',
        { ids: ids.slice(0, LIMITS.attemptsPerClient), reason: reason.slice(0, 1024) },
        { timeoutMs: SUSPECT_HEARTBEATS * this.#heartbeatMs },
      )
    } catch {
      // The answer to its next renewal says the same.
    }
  }

  /**
   * Listens to a job's events there until {@link unfollow}; opened again after every cut.
   *
   * @param options.before - attempts were sent there by an earlier process: what is there is asked first
   */
  follow(job: string, options: { before?: boolean } = {}): void {
    if (this.#follows.has(job) || this.#closing.signal.aborted) return
    const stop = new AbortController()
    this.#follows.set(job, stop)
    const signal = AbortSignal.any([stop.signal, this.#closing.signal])
    void this.#listen(job, signal, options.before === true)
  }

  unfollow(job: string): void {
    this.#follows.get(job)?.abort()
    this.#follows.delete(job)
  }

  /** Whether a connection to the host is being used, or will be before long. */
  get busy(): boolean {
    return this.#follows.size > 0 || this.#acknowledging !== undefined
  }

  /** Sends what waits and ends everything. */
  async close(): Promise<void> {
    for (const stop of this.#follows.values()) stop.abort()
    await this.#acknowledging?.catch(() => {})
    this.#closing.abort()
  }

  async #flush(): Promise<void> {
    while (this.#acknowledge.length > 0) {
      await this.#clock.delay(ACKNOWLEDGE_MS)
      const ids = this.#acknowledge.splice(0, LIMITS.attemptsPerClient)
      try {
        await this.#network.call(
          this.peer,
          'attempt.acknowledge',
          { ids },
          {
            signal: this.#closing.signal,
          },
        )
      } catch {
        // The host tells the end again after the next connection, and is answered then.
      }
    }
  }

  async #listen(job: string, signal: AbortSignal, before: boolean): Promise<void> {
    let waitMs = RECONNECT_MS.first
    let takeStock = before
    while (!signal.aborted) {
      try {
        const stream = await this.#network.openStream(this.peer, PROTOCOLS.events, { signal })
        const stop = () => stream.abort()
        signal.addEventListener('abort', stop, { once: true })
        try {
          await stream.send(new TextEncoder().encode(job))
          if (takeStock) await this.#takeStock(signal)
          takeStock = true
          for await (const frame of stream) {
            const events = decodeEvents(frame)
            if (events.length > 0) waitMs = RECONNECT_MS.first
            for (const event of events) this.#events.event(this.peer, job, event)
          }
        } finally {
          signal.removeEventListener('abort', stop)
          stream.abort()
        }
      } catch {
        // A host that is gone is the lease's affair; until then it is tried again.
      }
      if (signal.aborted) return
      await this.#clock.delay(waitMs * (0.5 + this.#random()), { signal }).catch(() => {})
      waitMs = Math.min(RECONNECT_MS.most, waitMs * 2)
    }
  }

  async #takeStock(signal: AbortSignal): Promise<void> {
    const askedAt = this.#clock.now()
    const { attempts } = await this.#network.call(this.peer, 'attempt.inventory', {}, { signal })
    this.heard()
    this.#events.inventory(this.peer, new Set(attempts.map((attempt) => attempt.id)), askedAt)
  }
}
