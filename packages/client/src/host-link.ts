import { setTimeout as delay } from 'node:timers/promises'
import {
  type AttemptEvent,
  type AttemptSpec,
  attemptEventSchema,
  decodeDocument,
  LIMITS,
  type Network,
  type Offer,
  PROTOCOLS,
  type RpcResult,
  type WireAttempt,
} from '@manyhands/core'
import { pipe } from 'it-pipe'
import { z } from 'zod'

/** A host is suspect after this many heartbeats without a renewal, lost after the lease. */
const SUSPECT_HEARTBEATS = 3
const LEASE_HEARTBEATS = 6 * 1.02
/** How long acknowledgements wait for company, ms. */
const ACKNOWLEDGE_MS = 5
const HEARTBEAT_MS = { least: 100, most: 60_000 }
const RECONNECT_MS = { first: 50, most: 2_000 }

const eventsSchema = z.array(attemptEventSchema).max(LIMITS.attemptsPerClient)

async function* decodedEvents(frames: AsyncIterable<Uint8Array>): AsyncGenerator<AttemptEvent> {
  for await (const frame of frames) yield* decodeDocument(eventsSchema, frame, 'attempt events')
}

export interface HostLinkEvents {
  event(host: string, job: string, event: AttemptEvent): void
  /** The host was reached again after a cut, and holds these attempts of ours. */
  inventory(host: string, ids: ReadonlySet<string>, askedAt: number): void
}

/**
 * The working relation to one host: the lease, one event stream per job, requests that may wait for
 * company. It keeps reconnecting while there is something to wait for.
 */
export class HostLink {
  readonly peer: string
  readonly #network: Network
  readonly #events: HostLinkEvents
  readonly #follows = new Map<string, AbortController>()
  readonly #closing = new AbortController()
  #heartbeatMs: number
  #heardAt = performance.now()
  #acknowledge: string[] = []
  #acknowledging: Promise<void> | undefined

  constructor(peer: string, network: Network, heartbeatMs: number, events: HostLinkEvents) {
    this.peer = peer
    this.#network = network
    this.#heartbeatMs = heartbeatMs
    this.#events = events
  }

  get heartbeatMs(): number {
    return this.#heartbeatMs
  }

  /** A renewal or an answer of the host: the lease starts anew. */
  heard(): void {
    this.#heardAt = performance.now()
  }

  get leaseMs(): number {
    return LEASE_HEARTBEATS * this.#heartbeatMs
  }

  get leaseState(): 'held' | 'suspect' | 'over' {
    const silentMs = performance.now() - this.#heardAt
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
      { job: job.id, jobName: job.name, spec, attempts },
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

  /** Listens to a job's events there until {@link unfollow}; opened again after every cut. */
  follow(job: string): void {
    if (this.#follows.has(job) || this.#closing.signal.aborted) return
    const stop = new AbortController()
    this.#follows.set(job, stop)
    void this.#listen(job, AbortSignal.any([stop.signal, this.#closing.signal]))
  }

  unfollow(job: string): void {
    this.#follows.get(job)?.abort()
    this.#follows.delete(job)
  }

  /** Sends what waits and ends everything. */
  async close(): Promise<void> {
    for (const stop of this.#follows.values()) stop.abort()
    await this.#acknowledging?.catch(() => {})
    this.#closing.abort()
  }

  async #flush(): Promise<void> {
    while (this.#acknowledge.length > 0) {
      await delay(ACKNOWLEDGE_MS)
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

  async #listen(job: string, signal: AbortSignal): Promise<void> {
    let waitMs = RECONNECT_MS.first
    for (let round = 0; !signal.aborted; round += 1) {
      try {
        const stream = await this.#network.openStream(this.peer, PROTOCOLS.events, { signal })
        const stop = () => stream.abort()
        signal.addEventListener('abort', stop, { once: true })
        try {
          await stream.send(new TextEncoder().encode(job))
          if (round > 0) await this.#takeStock(signal)
          await pipe(stream, decodedEvents, async (events) => {
            for await (const event of events) {
              waitMs = RECONNECT_MS.first
              this.#events.event(this.peer, job, event)
            }
          })
        } finally {
          signal.removeEventListener('abort', stop)
          stream.abort()
        }
      } catch {
        // A host that is gone is the lease's affair; until then it is tried again.
      }
      if (signal.aborted) return
      await delay(waitMs * (0.5 + Math.random()), undefined, { signal, ref: false }).catch(() => {})
      waitMs = Math.min(RECONNECT_MS.most, waitMs * 2)
    }
  }

  async #takeStock(signal: AbortSignal): Promise<void> {
    const askedAt = performance.now()
    const { attempts } = await this.#network.call(this.peer, 'attempt.inventory', {}, { signal })
    this.heard()
    this.#events.inventory(this.peer, new Set(attempts.map((attempt) => attempt.id)), askedAt)
  }
}
