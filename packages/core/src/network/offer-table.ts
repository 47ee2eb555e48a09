import { LIMITS } from '../limits.ts'
import type { Offer } from '../offer.ts'
import type { Announcement } from './offer-announcement.ts'

interface Entry extends Announcement {
  /** When it was last announced, on the monotonic clock. */
  heardMs: number
}

/**
 * The offers that are believed now: one per peer, the newest announcement of it, for as long as its
 * time to live, and not more than the limit in all.
 */
export class OfferTable {
  /** In the order in which they were heard: the first is the oldest. */
  readonly #entries = new Map<string, Entry>()
  readonly #now: () => number

  constructor(now: () => number = () => performance.now()) {
    this.#now = now
  }

  /**
   * Takes an announcement. `stale`: a repeat, a replay or an older revision, nothing was taken;
   * `renewed`: known already; `changed`: new or changed.
   */
  take(announcement: Announcement): 'stale' | 'renewed' | 'changed' {
    const { seq, offer } = announcement
    this.#expire()
    const known = this.#entries.get(offer.peerId)
    if (known !== undefined) {
      const older = known.offer.instance === offer.instance && offer.revision < known.offer.revision
      if (seq <= known.seq || older) return 'stale'
      this.#entries.delete(offer.peerId)
    }
    this.#entries.set(offer.peerId, { seq, offer, heardMs: this.#now() })
    if (this.#entries.size > LIMITS.offers) {
      const [oldest] = this.#entries.keys()
      this.#entries.delete(oldest as string)
    }
    const same = known?.offer.revision === offer.revision && known.offer.instance === offer.instance
    return same ? 'renewed' : 'changed'
  }

  forget(peer: string): void {
    this.#entries.delete(peer)
  }

  get(peer: string): Offer | undefined {
    this.#expire()
    return this.#entries.get(peer)?.offer
  }

  all(): Offer[] {
    this.#expire()
    return Array.from(this.#entries.values(), ({ offer }) => offer)
  }

  #expire(): void {
    const limit = this.#now() - LIMITS.offerTtlMs
    for (const [peer, { heardMs }] of this.#entries) {
      if (heardMs > limit) return
      this.#entries.delete(peer)
    }
  }
}
