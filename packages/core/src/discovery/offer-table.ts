import { createHash } from 'node:crypto'
import { LIMITS } from '../limits.ts'
import type { Offer } from '../offer.ts'
import { type Announcement, readAnnouncement } from './offer-announcement.ts'

/** What an announcement meant to a table. */
export type News = 'stale' | 'renewed' | 'changed' | 'gone'

/**
 * One announcement that is kept, as it was signed. What it says is read again when somebody wants to know:
 * most members keep thousands of them only to pass them on.
 */
export interface KeptOffer extends Pick<Announcement, 'seq'>, Pick<Offer, 'peerId' | 'revision'> {
  bytes: Uint8Array
  instance: string
  goodbye: boolean
  /** Grows with everything that this table takes: what is newer has a higher one. */
  mark: number
  /** When it was announced as far as is known, on the monotonic clock. */
  heardMs: number
  /** Until when it is believed; one that says goodbye is remembered so long. */
  untilMs: number
  /** A digest of the bytes. */
  key: string
}

/**
 * The offers that are believed now: one per peer, the newest announcement of it, for as long as its
 * time to live, and not more than the limit in all. Whoever said goodbye is remembered for a while, so
 * that nobody brings it back.
 */
export class OfferTable {
  /** In the order in which they were taken: the first is the oldest. */
  readonly #entries = new Map<string, KeptOffer>()
  readonly #keys = new Set<string>()
  readonly #now: () => number
  #mark = 0

  constructor(now: () => number = () => performance.now()) {
    this.#now = now
  }

  /** The mark of the newest. */
  get mark(): number {
    return this.#mark
  }

  /** How many are kept, goodbyes among them. */
  get size(): number {
    return this.#entries.size
  }

  /**
   * Takes an announcement. `stale`: a repeat, a replay or an older revision, nothing was taken;
   * `renewed`: known already; `changed`: new or changed; `gone`: a goodbye.
   *
   * @param ageMs - how long ago it was announced, as far as is known
   */
  take({ seq, offer }: Announcement, bytes: Uint8Array, ageMs = 0): News {
    const { peerId, revision, instance } = offer
    const known = this.#entries.get(peerId)
    const heardMs = this.#now() - ageMs
    const goodbye = isGoodbye(offer)
    const untilMs = heardMs + (goodbye ? LIMITS.offerTtlMs : timeToLive(offer))
    if (untilMs <= this.#now()) return 'stale'
    const alive = known !== undefined && known.untilMs > this.#now()
    if (alive) {
      const older = known.instance === instance && revision < known.revision
      if (seq <= known.seq || older) return 'stale'
    }
    this.#drop(known)
    this.#mark += 1
    const key = digestOf(bytes)
    this.#entries.set(peerId, {
      ...{ peerId, revision, instance, goodbye, seq, heardMs, untilMs, key, mark: this.#mark },
      // It may be a part of something much larger.
      bytes: bytes.slice(),
    })
    this.#keys.add(key)
    if (this.#entries.size > LIMITS.offers) this.#drop(this.#entries.values().next().value)
    const believed = alive && !known.goodbye
    if (goodbye) return believed ? 'gone' : 'renewed'
    return believed && known.revision === revision && known.instance === instance
      ? 'renewed'
      : 'changed'
  }

  /** Whether exactly this announcement is kept: then there is no need to check it again. */
  has(bytes: Uint8Array): boolean {
    return this.#keys.has(digestOf(bytes))
  }

  forget(peer: string): void {
    this.#drop(this.#entries.get(peer))
  }

  get(peer: string): Offer | undefined {
    const entry = this.#entries.get(peer)
    return entry !== undefined && this.#isBelieved(entry) ? offerIn(entry) : undefined
  }

  /** How long ago the offer of a peer was announced, ms. */
  ageOf(peer: string): number | undefined {
    const entry = this.#entries.get(peer)
    if (entry === undefined || !this.#isBelieved(entry)) return undefined
    return Math.max(0, this.#now() - entry.heardMs)
  }

  all(): Offer[] {
    return [...this.#entries.values()].filter((entry) => this.#isBelieved(entry)).map(offerIn)
  }

  /** Whose offers are believed. */
  peers(): string[] {
    const believed = [...this.#entries.values()].filter((entry) => this.#isBelieved(entry))
    return believed.map(({ peerId }) => peerId)
  }

  /** What was taken before a mark, the newest first. */
  *newestFirst(before = Number.POSITIVE_INFINITY): Generator<KeptOffer & { ageMs: number }> {
    const now = this.#now()
    for (const entry of [...this.#entries.values()].reverse()) {
      if (entry.mark >= before || entry.untilMs <= now) continue
      yield { ...entry, ageMs: Math.max(0, Math.round(now - entry.heardMs)) }
    }
  }

  /** Drops what is over; the peers that were believed until now. */
  expire(): string[] {
    const now = this.#now()
    const over = [...this.#entries.values()].filter(({ untilMs }) => untilMs <= now)
    for (const entry of over) this.#drop(entry)
    return over.filter(({ goodbye }) => !goodbye).map(({ peerId }) => peerId)
  }

  #isBelieved({ goodbye, untilMs }: KeptOffer): boolean {
    return untilMs > this.#now() && !goodbye
  }

  #drop(entry: KeptOffer | undefined): void {
    if (entry === undefined) return
    this.#entries.delete(entry.peerId)
    this.#keys.delete(entry.key)
  }
}

function offerIn({ bytes }: KeptOffer): Offer {
  return readAnnouncement(bytes).offer
}

/** Whether the peer says by it that it is no host any more. */
function isGoodbye({ ttlMs }: Offer): boolean {
  return ttlMs === 0
}

function timeToLive({ ttlMs = LIMITS.offerTtlMs }: Offer): number {
  return Math.min(ttlMs, LIMITS.offerTtlMostMs)
}

function digestOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('base64')
}
