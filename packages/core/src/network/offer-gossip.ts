import type { KeyObject } from 'node:crypto'
import type { GossipSub, TopicValidatorResult } from '@libp2p/gossipsub'
import type { Offer } from '../offer.ts'
import { PROTOCOLS } from '../wire/protocols.ts'
import { decodeAnnouncement, encodeAnnouncement } from './offer-announcement.ts'
import { OfferTable } from './offer-table.ts'
import type { PeerGate } from './peer-gate.ts'

/** Every announcement costs every member about a millisecond: this is the least that is told. */
const ANNOUNCE_MS = 60_000
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

export interface OfferGossipOptions {
  /** Undefined: takes no part; nothing is told and nothing is heard. */
  pubsub: GossipSub | undefined
  peerId: string
  key: KeyObject
  gate: PeerGate
  onOffer(offer: Offer): void
}

/** Tells the network our signed offer and believes those of others. */
export class OfferGossip {
  readonly #options: OfferGossipOptions
  readonly #table = new OfferTable()
  #own: Offer | undefined
  #timer: NodeJS.Timeout | undefined
  #neighbourTimer: NodeJS.Timeout | undefined
  #seq = 0
  #toldMs = Number.NEGATIVE_INFINITY
  #told: ReadonlySet<string> = new Set()
  readonly #onSubscription: GossipListener = ({ detail: { peerId, subscriptions } }) => {
    const joined = subscriptions.some(({ topic, subscribe }) => {
      return subscribe && topic === PROTOCOLS.offers
    })
    if (joined && !this.#told.has(peerId.toString())) this.#tellNeighbours()
  }

  constructor(options: OfferGossipOptions) {
    this.#options = options
  }

  start(): void {
    const { pubsub } = this.#options
    if (pubsub === undefined) return
    pubsub.topicValidators.set(PROTOCOLS.offers, (_, message) => this.#judge(message.data))
    pubsub.addEventListener('subscription-change', this.#onSubscription)
    pubsub.subscribe(PROTOCOLS.offers)
  }

  stop(): void {
    this.withdraw()
    this.#options.pubsub?.removeEventListener('subscription-change', this.#onSubscription)
  }

  /** @throws LIMIT when the offer is too large */
  async publish(offer: Offer): Promise<void> {
    encodeAnnouncement({ seq: Date.now(), offer }, this.#options.key)
    this.#own = offer
    const waitMs = this.#toldMs + CHANGE_PAUSE_MS - performance.now()
    if (waitMs > 0) this.#announceIn(waitMs, REPEAT_MS)
    else await this.#announce(REPEAT_MS)
  }

  withdraw(): void {
    this.#own = undefined
    clearTimeout(this.#timer)
    clearTimeout(this.#neighbourTimer)
    this.#neighbourTimer = undefined
  }

  forget(peer: string): void {
    this.#table.forget(peer)
  }

  get(peer: string): Offer | undefined {
    return this.#table.get(peer)
  }

  all(): Offer[] {
    return this.#table.all()
  }

  /** @param nextMs when to announce again; then it is once a minute */
  async #announce(nextMs = ANNOUNCE_MS * (0.9 + Math.random() * 0.2)): Promise<void> {
    const { pubsub, key } = this.#options
    if (pubsub === undefined || this.#own === undefined) return
    // Counts on across restarts, without anyone comparing it with a clock.
    this.#seq = Math.max(this.#seq + 1, Date.now())
    const announcement = encodeAnnouncement({ seq: this.#seq, offer: this.#own }, key)
    this.#announceIn(nextMs)
    this.#toldMs = performance.now()
    const { recipients } = await pubsub.publish(PROTOCOLS.offers, announcement)
    this.#told = new Set(recipients.map((peer) => peer.toString()))
  }

  /** Whoever joins beside us has not heard our last announcement. */
  #tellNeighbours(): void {
    if (this.#own === undefined || this.#neighbourTimer !== undefined) return
    const pauseMs = this.#told.size === 0 ? 0 : NEIGHBOUR_PAUSE_MS
    const waitMs = Math.max(NEIGHBOUR_DELAY_MS, this.#toldMs + pauseMs - performance.now())
    this.#neighbourTimer = setTimeout(() => {
      this.#neighbourTimer = undefined
      this.#announceIn(0)
    }, waitMs).unref()
  }

  #announceIn(ms: number, nextMs?: number): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      // Too large was thrown to whoever published it; the layer below fails only when it is closed.
      this.#announce(nextMs).catch(() => {})
    }, ms).unref()
  }

  async #judge(data: Uint8Array): Promise<TopicValidatorResult> {
    const { peerId, gate, onOffer } = this.#options
    try {
      const announcement = decodeAnnouncement(data)
      const { offer } = announcement
      if (offer.peerId === peerId || gate.refuses(offer.peerId)) return IGNORE
      const news = this.#table.take(announcement)
      if (news === 'changed') onOffer(offer)
      return news === 'stale' ? IGNORE : ACCEPT
    } catch {
      return REJECT
    }
  }
}

type GossipListener = (
  event: CustomEvent<{
    peerId: { toString(): string }
    subscriptions: { topic: string; subscribe: boolean }[]
  }>,
) => void

// The values of the enum, which is loaded only where gossip is wanted.
const ACCEPT = 'accept' as TopicValidatorResult
const IGNORE = 'ignore' as TopicValidatorResult
const REJECT = 'reject' as TopicValidatorResult
