import { LIMITS, type Logger, type Network, type Offer } from '@manyhands/core'
import PQueue from 'p-queue'
import type { HostChange } from './client.ts'
import { HostLink, type HostLinkEvents } from './host-link.ts'
import { HostRecord } from './host-record.ts'

/** Hosts heard of by hearsay that are dialed at once, and that wait for it. */
const DIALS = 16
const WAITING_DIALS = 1000
/** How often hosts that are connected but silent are asked again, ms. */
const ASK_AGAIN_MS = 1_000

export interface HostDirectoryOptions {
  network: Network
  heartbeatMs: number
  logger: Logger
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
      const { network, heartbeatMs, events } = this.#options
      link = new HostLink(peer, network, heartbeatMs, events)
      this.#links.set(peer, link)
    }
    return link
  }

  /** A host's own word, just now. */
  offered(offer: Offer): void {
    const known = this.#records.get(offer.peerId)
    if (known === undefined) {
      if (this.#records.size >= LIMITS.offers) return
      this.#records.set(offer.peerId, new HostRecord(offer))
      this.#changed({ kind: 'found', offer })
      return
    }
    const back = !known.present
    known.present = true
    known.suspect = false
    if (known.update(offer) || back) this.#changed({ kind: back ? 'found' : 'changed', offer })
  }

  /** The connection is gone: no new work until it answers again. What runs there has its leases. */
  unreachable(peer: string): void {
    const record = this.#records.get(peer)
    if (record === undefined || !record.present) return
    record.present = false
    record.absentSince = performance.now()
    this.#changed({ kind: 'gone', peerId: peer })
  }

  /** Asks silent hosts again, and forgets those that are gone for long. */
  keep(): void {
    const now = performance.now()
    if (now - this.#keptAt < ASK_AGAIN_MS) return
    this.#keptAt = now
    for (const [peer, record] of this.#records) {
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
    for (const record of this.#records.values()) {
      if (record.inFlight.size === 0) continue
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
      .add(() => this.#dial(offer))
      .catch(() => {})
      .finally(() => this.#dialing.delete(peerId))
  }

  async #dial(offer: Offer): Promise<void> {
    for (const address of offer.addresses) {
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
