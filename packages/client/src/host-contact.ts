import type { Clock, Network, Offer } from '@manyhands/core'

/** A host is suspect after this many heartbeats without a word, lost after the lease. */
export const SUSPECT_HEARTBEATS = 3
export const LEASE_HEARTBEATS = 6 * 1.02
/** So many heartbeats of silence, and it is asked for a word: its own may have been late. */
const ASK_HEARTBEATS = 1.5
/** A new connection has so many heartbeats to be made, and this time at least and at most, ms. */
const DIAL_HEARTBEATS = 4
const DIAL_MS = { least: 2_000, most: 10_000 }
/** It is dialed again after a heartbeat; when it has been away for long, after a part of that time. */
const AWAY_SHARE = 20
const REDIAL_MOST_MS = 60_000

export interface HostContactOptions {
  peer: string
  network: Network
  clock: Clock
  random: () => number
  heartbeatMs(): number
  /** Where it says that it can be reached. */
  addresses(): readonly string[]
  /** It has said what it offers. */
  offered(offer: Offer): void
}

/**
 * Keeps in touch with a host of which something is expected. It is asked when it is silent, and dialed when
 * it does not answer: beside the connection that there is, as that may only be slow, and its place is taken
 * by the first of the two over which a word comes. A connection over which nothing has come for a lease is
 * given up, and all that waits for an answer over it with it.
 */
export class HostContact {
  readonly #options: HostContactOptions
  #wordAt: number
  #lookedAt: number
  #asking = false
  #dialing: AbortController | undefined
  /** Since when it cannot be reached, and when it is dialed next; monotonic ms. */
  #awaySince: number | undefined
  #redialAt = 0

  constructor(options: HostContactOptions) {
    this.#options = options
    this.#wordAt = options.clock.now()
    this.#lookedAt = this.#wordAt
  }

  /** Whether it has been silent for so long that it gets no new work. */
  get suspect(): boolean {
    return this.#silentMs > SUSPECT_HEARTBEATS * this.#options.heartbeatMs()
  }

  /** Something came from it. */
  word(): void {
    this.#wordAt = this.#options.clock.now()
    // The connection that there is is alive: another one is not needed.
    if (this.#options.network.isConnected(this.#options.peer)) this.#dialing?.abort()
  }

  /** Looks after it; again and again, for as long as something is expected of it. */
  look(): void {
    const { network, peer, clock, heartbeatMs } = this.#options
    const now = clock.now()
    const beat = heartbeatMs()
    // Nothing was expected meanwhile, or this computer stood still: that was not its silence.
    if (now - this.#lookedAt > beat) this.#wordAt = Math.max(this.#wordAt, now - beat)
    this.#lookedAt = now
    const silent = this.#silentMs
    const connected = network.isConnected(peer)
    if (connected && silent <= SUSPECT_HEARTBEATS * beat) this.#awaySince = undefined
    else this.#redial(now)
    if (!connected) return
    if (silent > LEASE_HEARTBEATS * beat) network.drop(peer)
    else if (silent > ASK_HEARTBEATS * beat) this.#ask()
  }

  close(): void {
    this.#dialing?.abort()
  }

  get #silentMs(): number {
    return this.#options.clock.now() - this.#wordAt
  }

  #ask(): void {
    if (this.#asking) return
    this.#asking = true
    const { network, peer, heartbeatMs } = this.#options
    network
      .call(peer, 'offer.get', {}, { timeoutMs: SUSPECT_HEARTBEATS * heartbeatMs() })
      .then(({ offer }) => {
        this.word()
        if (offer.peerId === peer) this.#options.offered(offer)
      })
      // That it is silent is all there is to know.
      .catch(() => {})
      .finally(() => {
        this.#asking = false
      })
  }

  #redial(now: number): void {
    if (this.#awaySince === undefined) {
      this.#awaySince = now
      this.#redialAt = now
    }
    if (this.#dialing !== undefined || now < this.#redialAt) return
    const { network, peer, clock, random, heartbeatMs } = this.#options
    const beat = heartbeatMs()
    const dialing = new AbortController()
    this.#dialing = dialing
    const patience = Math.min(DIAL_MS.most, Math.max(DIAL_MS.least, DIAL_HEARTBEATS * beat))
    const stop = clock.after(patience, () => dialing.abort())
    const addresses = this.#options.addresses()
    network
      .reconnect(peer, { addresses, signal: dialing.signal })
      .then(() => {
        this.#dialing = undefined
        this.word()
      })
      // It is tried again.
      .catch(() => {})
      .finally(() => {
        stop()
        this.#dialing = undefined
        const awayMs = clock.now() - (this.#awaySince ?? clock.now())
        const pauseMs = Math.min(REDIAL_MOST_MS, Math.max(beat, awayMs / AWAY_SHARE))
        // Clients that lost a host at the same moment do not come back at the same moment.
        this.#redialAt = Math.max(clock.now(), now + pauseMs * (0.75 + random() / 4))
      })
  }
}
