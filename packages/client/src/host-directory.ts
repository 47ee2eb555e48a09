import { type Clock, LIMITS, type Logger, type Network, type Offer } from '@manyhands/core'
import PQueue from 'p-queue'
import type { HostChange } from './client.ts'
import { HostLink, type HostLinkEvents } from './host-link.ts'
import { HostRecord } from './host-record.ts'

/** Hosts heard of by hearsay that are dialed at once, and that wait for it. */
const DIALS = 16
const WAITING_DIALS = 1000
/** How often hosts that are connected but silent are asked again, ms. */
const ASK_AGAIN_MS = 1_000
/** How often it is measured how far a host is, ms, and of how many hosts in each second. */
const MEASURE_MS = 30_000
const MEASURED = 16

export interface HostDirectoryOptions {
  network: Network
  heartbeatMs: number
  logger: Logger
  clock: Clock
  /** Numbers of 0 to 1. */
  random: () => number
  /** What an earlier process has seen of a host, as it was written. */
  known(peer: string): unknown
  events: HostLinkEvents
}

/**
 * The hosts that this client knows: whoever it is connected to is asked whether it is a host, and whom
 * else it knows; offers heard by gossip are followed up.
 *
 * Events: `'change'`, `CustomEvent<HostChange>`.
 */
export class HostDirectory extends EventTarget {
  readonly #options: HostDirectoryOptions
  readonly #records = new Map<string, HostRecord>()
  readonly #links = new Map<string, HostLink>()
  readonly #dials = new PQueue({ concurrency: DIALS })
  readonly #dialing = new Set<string>()
  /** Hosts of which something is expected, and that were not met yet in this process. */
  readonly #expected = new Set<string>()
  #keptAt = 0
  #closed = false

  constructor(options: HostDirectoryOptions) {
    super()
    this.#options = options
    const { network } = options
    network.addEventListener('peer:connect', (event) =>
      this.#greet((event as CustomEvent<string>).detail),
    )
    network.addEventListener('peer:disconnect', (event) => {
      this.unreachable((event as CustomEvent<string>).detail)
    })
    network.addEventListener('offer', (event) => {
      const { detail: offer } = event as CustomEvent<Offer>
      // Gossip is signed by the host itself.
      if (this.#records.get(offer.peerId)?.present) this.offered(offer)
      else this.#heardOf(offer)
    })
    for (const peer of network.peers()) this.#greet(peer)
  }

  records(): HostRecord[] {
    return [...this.#records.values()]
  }

  record(peer: string): HostRecord | undefined {
    return this.#records.get(peer)
  }

  /** Offers of hosts that can be reached now. */
  offers(): Offer[] {
    return this.records()
      .filter((record) => record.present)
      .map((record) => record.offer)
  }

  links(): Iterable<HostLink> {
    return this.#links.values()
  }

  link(peer: string): HostLink {
    let link = this.#links.get(peer)
    if (link === undefined) {
      link = new HostLink(peer, this.#options)
      this.#links.set(peer, link)
    }
    return link
  }

  /** Something of ours may be at a host that this process has not met: it has a lease to show itself. */
  expect(peer: string, addresses: string[]): void {
    if (this.#records.has(peer)) return
    this.#expected.add(peer)
    this.link(peer).heard()
    void this.#dials.add(() => this.#dial(addresses)).catch(() => {})
  }

  /** A host's own word, just now; with attempts that it says run there. */
  offered(offer: Offer, running?: readonly string[]): void {
    const known = this.#records.get(offer.peerId)
    this.#expected.delete(offer.peerId)
    if (known === undefined) {
      if (this.#records.size >= LIMITS.offers) return
      this.#records.set(
        offer.peerId,
        new HostRecord(offer, { ...this.#options, known: this.#options.known(offer.peerId) }),
      )
      this.#changed({ kind: 'found', offer })
      return
    }
    const back = !known.present
    known.present = true
    known.suspect = false
    if (known.update(offer, running) || back)
      this.#changed({ kind: back ? 'found' : 'changed', offer })
  }

  /** The connection is gone: no new work until it answers again. What runs there has its leases. */
  unreachable(peer: string): void {
    const record = this.#records.get(peer)
    if (record === undefined || !record.present) return
    record.present = false
    record.absentSince = this.#options.clock.now()
    this.#changed({ kind: 'gone', peerId: peer })
  }

  /** Asks silent hosts again, and forgets those that are gone for long. */
  keep(): void {
    const now = this.#options.clock.now()
    if (now - this.#keptAt < ASK_AGAIN_MS) return
    this.#keptAt = now
    let measured = 0
    for (const [peer, record] of this.#records) {
      if (record.present && measured < MEASURED && now - record.measuredAt > MEASURE_MS) {
        measured += 1
        void this.#measure(record)
      }
      if (record.present || record.inFlight.size > 0) continue
      if (this.#options.network.isConnected(peer)) this.#greet(peer)
      else if (now - record.absentSince > LIMITS.offerTtlMs) {
        this.#records.delete(peer)
        void this.#links.get(peer)?.close()
        this.#links.delete(peer)
      }
    }
  }

  /**
   * Looks at every lease that matters. When our own clock was late, what has arrived meanwhile is read
   * before anyone is given up.
   */
  watchLeases(lateMs: number, over: (host: string) => void): void {
    for (const peer of this.#expected) {
      const link = this.link(peer)
      if (lateMs > link.heartbeatMs) link.heard()
      if (link.leaseState !== 'over') continue
      this.#expected.delete(peer)
      over(peer)
    }
    for (const record of this.#records.values()) {
      // What was not answered yet is not renewed: its offer has a time of its own.
      if (record.leased === 0) continue
      const link = this.link(record.peerId)
      if (lateMs > link.heartbeatMs) {
        link.heard()
        continue
      }
      const state = link.leaseState
      record.suspect = state !== 'held'
      if (state === 'over') {
        this.unreachable(record.peerId)
        over(record.peerId)
      }
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#dials.clear()
    this.#changed({ kind: 'gone', peerId: '' })
    await Promise.all([...this.#links.values()].map((link) => link.close()))
  }

  #greet(peer: string): void {
    if (this.#closed) return
    void this.link(peer)
      .hello()
      .then((offer) => {
        if (offer.peerId === peer) this.offered(offer)
        const record = this.#records.get(peer)
        if (record !== undefined) void this.#measure(record)
        return this.#options.network.call(peer, 'offer.list', {})
      })
      .then(({ offers }) => {
        for (const offer of offers) this.#heardOf(offer)
      })
      .catch((cause) => {
        // Not every peer is a host.
        this.#options.logger.debug('a peer did not introduce itself as a host', {
          peer,
          cause: String(cause),
        })
      })
  }

  /** How long a word to a host and back takes. Does not reject: one that is gone is noticed elsewhere. */
  async #measure(record: HostRecord): Promise<void> {
    const { network, clock } = this.#options
    const { peerId } = record
    const askedAt = clock.now()
    record.measuredAt = askedAt
    try {
      const { offer } = await network.call(peerId, 'offer.get', {})
      record.roundTrip.add(clock.now() - askedAt)
      if (offer.peerId === peerId && this.#records.get(peerId) === record) this.offered(offer)
    } catch (cause) {
      this.#options.logger.debug('a host was not measured', { peerId, cause: String(cause) })
    }
  }

  /** Hearsay: good enough to go and ask. */
  #heardOf(offer: Offer): void {
    const { network } = this.#options
    const { peerId } = offer
    if (this.#closed || peerId === network.peerId) return
    // What others say of a host is believed only as a reason to ask it.
    if (this.#records.get(peerId)?.present || network.isConnected(peerId)) return
    if (this.#dialing.has(peerId) || this.#dialing.size >= WAITING_DIALS) return
    this.#dialing.add(peerId)
    void this.#dials
      .add(() => this.#dial(offer.addresses))
      .catch(() => {})
      .finally(() => this.#dialing.delete(peerId))
  }

  async #dial(addresses: string[]): Promise<void> {
    for (const address of addresses) {
      if (this.#closed) return
      try {
        await this.#options.network.connect(address)
        return
      } catch {
        // The next address; when none answers, the host is heard of again.
      }
    }
  }

  #changed(change: HostChange): void {
    this.dispatchEvent(new CustomEvent('change', { detail: change }))
  }
}
