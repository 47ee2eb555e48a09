import { type Clock, LIMITS, type Logger, type Network, type Offer } from '@manyhands/core'
import type { HostChange } from './client.ts'
import { HostConnector, type HostConnectorParts } from './host-connector.ts'
import { HostLink, type HostLinkEvents } from './host-link.ts'
import { HostNews } from './host-news.ts'
import { HostRecord } from './host-record.ts'
import { LeaseWatch } from './lease-watch.ts'

/** How often hosts that are connected but silent are asked again, ms. */
const ASK_AGAIN_MS = 1_000
/** How often it is measured how far a host is, ms, and of how many hosts in each second. */
const MEASURE_MS = 30_000
const MEASURED = 16

/** How long a host is looked for that may have something of ours, ms. */
const WAITED_FOR_MS = 3_600_000

export interface HostDirectoryOptions extends Pick<HostConnectorParts, 'kept' | 'idleMs'> {
  network: Network
  /** Whether news of hosts are asked for, since none come by gossip. */
  asks: boolean
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
 * else it knows. A host that has signed its offer is known without a connection; the first dial shows
 * whether it is there.
 *
 * Events: `'change'`, `CustomEvent<HostChange>`; `'met'`, `CustomEvent<string>` with the peer id, when a
 * host has answered over a new connection.
 */
export class HostDirectory extends EventTarget {
  readonly #options: HostDirectoryOptions
  readonly #records = new Map<string, HostRecord>()
  readonly #links = new Map<string, HostLink>()
  readonly #connector: HostConnector
  readonly #news: HostNews
  readonly #leases: LeaseWatch
  /** Where hosts were of which something is expected, and that this process has not met. */
  readonly #places = new Map<string, readonly string[]>()
  #keptAt = 0
  #closed = false

  constructor(options: HostDirectoryOptions) {
    super()
    this.#options = options
    const { network } = options
    this.#connector = new HostConnector({
      ...options,
      failed: (record, cause) => this.#unanswered(record, cause),
      needed: ({ peerId, inFlight }) => inFlight.size > 0 || this.#links.get(peerId)?.busy === true,
    })
    this.#news = new HostNews({
      ...options,
      hearsay: ({ peerId, addresses }) => {
        if (peerId === network.peerId || this.#records.get(peerId)?.present) return
        // What others say of a host is believed only as a reason to ask it.
        this.#connector.heard(peerId, addresses)
      },
    })
    this.#leases = new LeaseWatch({
      records: () => this.#records.values(),
      record: (peer) => this.#records.get(peer),
      links: () => this.#links.values(),
      link: (peer) => this.link(peer),
      unreachable: (peer) => this.unreachable(peer),
    })
    this.#listen('peer:connect', (peer: string) => {
      this.#news.met(peer)
      this.#reached(peer)
    })
    this.#listen('peer:reconnect', (peer: string) => this.#reached(peer))
    this.#listen('peer:disconnect', (peer: string) => {
      this.#news.left(peer)
      if (this.#connector.lost(peer)) this.#letGo(peer)
      else this.unreachable(peer)
    })
    this.#listen('offer', (offer: Offer) => this.#announced(offer))
    this.#listen('offer:gone', (peer: string) => this.#withdrawn(peer))
    for (const offer of network.offers()) this.#announced(offer)
    for (const peer of network.peers()) {
      this.#news.met(peer)
      this.#greet(peer)
    }
  }

  records(): HostRecord[] {
    return [...this.#records.values()]
  }

  record(peer: string): HostRecord | undefined {
    return this.#records.get(peer)
  }

  /** Offers of hosts that can be reached now, or seem to. */
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
      link = new HostLink(peer, {
        ...this.#options,
        addresses: () => this.#records.get(peer)?.offer.addresses ?? this.#places.get(peer) ?? [],
        offered: (offer) => this.offered(offer),
      })
      this.#links.set(peer, link)
    }
    return link
  }

  /** Something of ours may be at a host that this process has not met: it has a lease to show itself. */
  expect(peer: string, addresses: string[]): void {
    if (this.#records.get(peer)?.connected) return
    this.#places.set(peer, addresses)
    this.#leases.expect(peer)
    void this.#connector.addresses(addresses)
  }

  /** Work waits for hosts that are known by their offers alone, the best first. */
  want(records: HostRecord[]): void {
    this.#connector.want(records)
  }

  /** A host's own word, just now; with attempts that it says run there. */
  offered(offer: Offer, running?: readonly string[]): void {
    const { peerId } = offer
    this.#leases.met(peerId)
    this.#places.delete(peerId)
    const known = this.#records.get(peerId)
    const record = known ?? this.#add(offer)
    if (record === undefined) return
    const met = !record.connected && this.#options.network.isConnected(peerId)
    const back = !record.present
    record.present = true
    record.suspect = false
    record.absence = undefined
    record.heardAt = this.#options.clock.now()
    if (met) {
      record.connected = true
      record.met = true
    }
    const newer = record.update(offer, running)
    if (back) this.#changed({ kind: 'found', offer: record.offer })
    else if (newer || met) this.#changed({ kind: 'changed', offer: record.offer })
    if (met) this.dispatchEvent(new CustomEvent('met', { detail: peerId }))
  }

  /** The connection is gone: no new work until it answers again. What runs there has its leases. */
  unreachable(peer: string): void {
    const record = this.#records.get(peer)
    if (record === undefined) return
    record.connected = false
    this.#absent(record, 'not connected')
  }

  /** Asks silent hosts again, and forgets those that are gone for long. */
  keep(): void {
    const now = this.#options.clock.now()
    if (now - this.#keptAt < ASK_AGAIN_MS) return
    this.#keptAt = now
    let measured = 0
    for (const [peer, record] of this.#records) {
      if (record.connected && measured < MEASURED && now - record.measuredAt > MEASURE_MS) {
        measured += 1
        void this.#measure(record)
      }
      if (record.present || record.inFlight.size > 0) continue
      if (this.#options.network.isConnected(peer)) this.#greet(peer)
      else if (now - record.absentSince > this.#rememberedMs(peer)) this.#forget(peer)
    }
    this.#connector.keep(this.#records.values())
  }

  /** Looks at every lease that matters, as {@link LeaseWatch.look}. */
  watchLeases(lateMs: number, busy: boolean, over: (host: string) => void): void {
    this.#leases.look(lateMs, busy, over)
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#connector.close()
    this.#news.close()
    this.#changed({ kind: 'gone', peerId: '' })
    await Promise.all([...this.#links.values()].map((link) => link.close()))
  }

  /** For how long a host that is gone is remembered: longer, when it may have something of ours. */
  #rememberedMs(peer: string): number {
    return this.#links.get(peer)?.waiting ? WAITED_FOR_MS : LIMITS.offerTtlMs
  }

  /** Connected, maybe anew. */
  #reached(peer: string): void {
    this.#greet(peer)
    this.#links.get(peer)?.reached()
  }

  #greet(peer: string): void {
    if (this.#closed) return
    void this.link(peer)
      .hello()
      .then((offer) => {
        if (offer.peerId === peer) this.offered(offer)
        const record = this.#records.get(peer)
        if (record !== undefined) void this.#measure(record)
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

  /** A host has signed an offer. */
  #announced(offer: Offer): void {
    if (this.#closed) return
    const { peerId } = offer
    const record = this.#records.get(peerId)
    if (record?.present) {
      if (record.update(offer)) this.#changed({ kind: 'changed', offer })
      return
    }
    if (this.#options.network.isConnected(peerId)) return
    if (record !== undefined) {
      record.update(offer)
      // It has lived on, or lives again.
      record.retryAt = 0
      this.#connector.want([record])
      return
    }
    const added = this.#add(offer)
    if (added === undefined) return
    if (this.#connector.hasRoom) {
      // It is shown when it has answered.
      added.absence = 'heard of, and asked for the first time'
      this.#connector.welcome(added)
      return
    }
    added.present = true
    this.#changed({ kind: 'found', offer })
  }

  /** A host has said goodbye, or nothing for too long. */
  #withdrawn(peer: string): void {
    const record = this.#records.get(peer)
    if (record === undefined || record.connected) return
    this.#absent(record, 'has gone')
    if (record.inFlight.size === 0) this.#forget(peer)
  }

  #unanswered(record: HostRecord, cause: unknown): void {
    if (record.connected) return
    const { message } = cause as Error
    this.#absent(record, `cannot be reached: ${message}`)
  }

  #absent(record: HostRecord, why: string): void {
    record.absence = why
    if (record.absentSince === 0 || record.present) record.absentSince = this.#options.clock.now()
    if (!record.present) return
    record.present = false
    this.#changed({ kind: 'gone', peerId: record.peerId })
  }

  /** We need it no more just now. */
  #letGo(peer: string): void {
    const record = this.#records.get(peer)
    if (record !== undefined) record.connected = false
  }

  /** @returns undefined when there are too many */
  #add(offer: Offer): HostRecord | undefined {
    if (this.#records.size >= LIMITS.offers) return undefined
    const known = this.#options.known(offer.peerId)
    const record = new HostRecord(offer, { ...this.#options, known })
    record.connected = false
    record.present = false
    record.absentSince = this.#options.clock.now()
    this.#records.set(offer.peerId, record)
    return record
  }

  #forget(peer: string): void {
    this.#records.delete(peer)
    void this.#links.get(peer)?.close()
    this.#links.delete(peer)
  }

  #listen<Detail>(type: string, heard: (detail: Detail) => void): void {
    this.#options.network.addEventListener(type, (event) => {
      heard((event as CustomEvent<Detail>).detail)
    })
  }

  #changed(change: HostChange): void {
    this.dispatchEvent(new CustomEvent('change', { detail: change }))
  }
}
