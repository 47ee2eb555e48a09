import type { KeyObject } from 'node:crypto'
import { LIMITS } from '../limits.ts'
import type { Offer } from '../offer.ts'
import type { AnnouncePace } from './announce-pace.ts'
import { type Announcement, encodeAnnouncement } from './offer-announcement.ts'

/** Changes within this time are told together: an offer changes with every attempt. */
const CHANGE_PAUSE_MS = 1000
/**
 * A change is told once more: what a member hears in the moment between being joined by a neighbour
 * and taking it into its mesh (one heartbeat, 1 s) does not reach that neighbour.
 */
const REPEAT_MS = 1200
/** New neighbours are told together. */
const NEIGHBOUR_DELAY_MS = 200
/** …and not more often than this, however many come. */
const NEIGHBOUR_PAUSE_MS = 10_000
/** With more hosts than this nothing is told twice, and new neighbours ask: they would hear it from all. */
const SMALL = 16

export interface AnnouncerParts {
  key: KeyObject
  /** In a private network: the member that we belong to. */
  binding?: Announcement['binding']
  pace: AnnouncePace
  /** How many hosts are known. */
  known(): number
  /** Keeps our own word for whoever asks. */
  keep(announcement: Announcement, bytes: Uint8Array): void
  /** Who was told; undefined where nobody is told unasked. */
  tell: ((announcement: Uint8Array) => Promise<string[]>) | undefined
}

/** Says what this host offers: on change, and otherwise just often enough to be believed. */
export class Announcer {
  readonly #parts: AnnouncerParts
  #own: Offer | undefined
  #lasting = ''
  #timer: NodeJS.Timeout | undefined
  #dueMs = Number.POSITIVE_INFINITY
  #neighbourTimer: NodeJS.Timeout | undefined
  #seq = 0
  #toldMs = Number.NEGATIVE_INFINITY
  #told: ReadonlySet<string> = new Set()

  constructor(parts: AnnouncerParts) {
    this.#parts = parts
  }

  /** @throws LIMIT when the offer is too large */
  async publish(offer: Offer): Promise<void> {
    this.#encode({ seq: Date.now(), offer })
    const lasting = lastingPart(offer)
    const changed = lasting !== this.#lasting
    this.#lasting = lasting
    this.#own = offer
    // What is free just now is worth less: whoever works there is told, and others may ask.
    const pauseMs = changed ? CHANGE_PAUSE_MS : this.#parts.pace.changePauseMs(this.#parts.known())
    const waitMs = this.#toldMs + pauseMs - performance.now()
    const nextMs = changed || this.#isSmall ? REPEAT_MS : undefined
    if (waitMs > 0) this.#sooner(waitMs, nextMs)
    else await this.#announce(nextMs)
  }

  /** Says goodbye, if anything was ever said. */
  async withdraw(): Promise<void> {
    const own = this.#own
    this.stop()
    if (own === undefined) return
    await this.#say({ ...own, draining: true, ttlMs: 0 }).catch(() => {})
  }

  /** Says nothing more. */
  stop(): void {
    this.#own = undefined
    this.#lasting = ''
    this.#cancel()
    clearTimeout(this.#neighbourTimer)
    this.#neighbourTimer = undefined
  }

  /** Whoever asks gets our word of lately, also where nobody is told unasked. */
  refresh(): void {
    const { tell, known, pace } = this.#parts
    if (tell !== undefined || this.#own === undefined) return
    if (performance.now() - this.#toldMs < pace.periodMs(known())) return
    void this.#announce().catch(() => {})
  }

  /** Whoever joins beside us has not heard our last announcement. */
  joined(peer: string): void {
    if (this.#own === undefined || this.#neighbourTimer !== undefined) return
    if (this.#told.has(peer) || (this.#told.size > 0 && !this.#isSmall)) return
    const pauseMs = this.#told.size === 0 ? 0 : NEIGHBOUR_PAUSE_MS
    const waitMs = Math.max(NEIGHBOUR_DELAY_MS, this.#toldMs + pauseMs - performance.now())
    this.#neighbourTimer = setTimeout(() => {
      this.#neighbourTimer = undefined
      this.#sooner(0)
    }, waitMs).unref()
  }

  get #isSmall(): boolean {
    return this.#parts.known() <= SMALL
  }

  /** @param nextMs - when to announce again; omitted: when it is time */
  async #announce(nextMs?: number): Promise<void> {
    if (this.#own === undefined) return
    const { pace, known, tell } = this.#parts
    const periodMs = pace.periodMs(known())
    this.#cancel()
    if (tell !== undefined) this.#sooner(nextMs ?? periodMs * (0.9 + Math.random() * 0.2))
    const ttlMs = pace.timeToLiveMs(known())
    await this.#say(ttlMs === LIMITS.offerTtlMs ? this.#own : { ...this.#own, ttlMs })
  }

  async #say(offer: Offer): Promise<void> {
    const { keep, tell } = this.#parts
    // Counts on across restarts, without anyone comparing it with a clock.
    this.#seq = Math.max(this.#seq + 1, Date.now())
    const announcement = { seq: this.#seq, offer }
    const bytes = this.#encode(announcement)
    this.#toldMs = performance.now()
    keep(announcement, bytes)
    this.#told = new Set(await tell?.(bytes))
  }

  /** @throws LIMIT when the offer is too large */
  #encode(announcement: Announcement): Uint8Array {
    const { binding, key } = this.#parts
    return encodeAnnouncement({ ...announcement, binding }, key)
  }

  /** Announces after a time, or when it is due already. */
  #sooner(ms: number, nextMs?: number): void {
    const dueMs = performance.now() + ms
    if (dueMs > this.#dueMs) return
    this.#cancel()
    this.#dueMs = dueMs
    this.#timer = setTimeout(() => {
      // Too large was thrown to whoever published it; the layer below fails only when it is closed.
      this.#announce(nextMs).catch(() => {})
    }, ms).unref()
  }

  #cancel(): void {
    clearTimeout(this.#timer)
    this.#dueMs = Number.POSITIVE_INFINITY
  }
}

/** What of an offer does not change with every attempt. */
function lastingPart({ revision: _, free: __, attempts: ___, ...lasting }: Offer): string {
  return JSON.stringify(lasting)
}
