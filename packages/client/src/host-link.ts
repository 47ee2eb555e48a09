import {
  type AttemptEvent,
  type AttemptSpec,
  type Clock,
  LIMITS,
  type Network,
  type Offer,
  type RpcResult,
  type WireAttempt,
} from '@manyhands/core'
import { HostContact, LEASE_HEARTBEATS, SUSPECT_HEARTBEATS } from './host-contact.ts'
import { type HeldAttempt, JobNews } from './job-news.ts'

/** How long acknowledgements wait for company, ms. */
const ACKNOWLEDGE_MS = 5
const HEARTBEAT_MS = { least: 100, most: 60_000 }

export interface HostLinkEvents {
  event(host: string, job: string, event: AttemptEvent): void
  /** The host was reached again after a cut, and holds these attempts of ours. */
  inventory(host: string, attempts: HeldAttempt[], askedAt: number): void
  /** What the host has to repeat in its receipt of an attempt. */
  nonceOf(job: string, host: string, attempt: string): string
  /** Public key of a job. */
  ownerOf(job: string): string
}

/**
 * The working relation to one host: the lease, one event stream per job, requests that may wait for
 * company. While there is something to wait for, its contact finds the host again after every cut.
 */
export class HostLink {
  readonly peer: string
  readonly contact: HostContact
  readonly #network: Network
  readonly #clock: Clock
  readonly #events: HostLinkEvents
  readonly #news: JobNews
  readonly #closing = new AbortController()
  #heartbeatMs: number
  #heardAt: number
  #acknowledge: string[] = []
  #acknowledging: Promise<void> | undefined
  /** It was not told of an end, so that it may keep what nobody wants: it is asked what it has. */
  #owing = false

  constructor(
    peer: string,
    parts: {
      network: Network
      clock: Clock
      random: () => number
      heartbeatMs: number
      events: HostLinkEvents
      /** Where it says that it can be reached. */
      addresses(): readonly string[]
      offered(offer: Offer): void
    },
  ) {
    this.peer = peer
    this.#network = parts.network
    this.#clock = parts.clock
    this.#heartbeatMs = parts.heartbeatMs
    this.#events = parts.events
    this.#heardAt = parts.clock.now()
    this.contact = new HostContact({ ...parts, peer, heartbeatMs: () => this.#heartbeatMs })
    const { events } = parts
    this.#news = new JobNews({
      ...parts,
      peer,
      word: () => this.contact.word(),
      event: (job, event) => events.event(peer, job, event),
      stock: (attempts, askedAt) => {
        this.heard()
        this.#owing = false
        events.inventory(peer, attempts, askedAt)
      },
    })
  }

  /** Whether there is something to wait for, or to tell. */
  get waiting(): boolean {
    return this.#news.following || this.#owing
  }

  get heartbeatMs(): number {
    return this.#heartbeatMs
  }

  /** A renewal or an answer of the host: the lease starts anew. */
  heard(): void {
    this.#heardAt = this.#clock.now()
    this.contact.word()
  }

  /** It is connected, maybe anew: what waited for that goes on. */
  reached(): void {
    this.#news.reached()
    if (this.#owing) this.#news.takeStock(this.#clock.now()).catch(() => {})
  }

  /** Resolves when it was reached anew, or after that time. */
  untilReached(ms: number): Promise<void> {
    return this.#news.untilReached(ms)
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
      // The answer to its next renewal says the same; but what has ended is not renewed.
      this.#owing = true
    }
  }

  /**
   * Listens to a job's events there until {@link unfollow}; opened again after every cut.
   *
   * @param options.before - attempts were sent there by an earlier process: what is there is asked first
   */
  follow(job: string, options: { before?: boolean } = {}): void {
    this.#news.follow(job, options.before === true)
  }

  unfollow(job: string): void {
    this.#news.unfollow(job)
  }

  /** Whether a connection to the host is being used, or will be before long. */
  get busy(): boolean {
    return this.#news.following || this.#acknowledging !== undefined
  }

  /** Sends what waits and ends everything. */
  async close(): Promise<void> {
    this.#news.close()
    await this.#acknowledging?.catch(() => {})
    this.contact.close()
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
        // The host tells the end again after the next connection, if anybody listens then.
        this.#owing = true
      }
    }
  }
}
