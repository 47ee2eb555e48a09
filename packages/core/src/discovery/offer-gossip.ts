import type { GossipSub, TopicValidatorResult } from '@libp2p/gossipsub'
import { PROTOCOLS } from '../wire/protocols.ts'
import type { News } from './offer-table.ts'

export interface OfferGossipParts {
  pubsub: GossipSub
  /** Takes what was heard. @throws PROTOCOL when it is no good announcement */
  heard(bytes: Uint8Array): News
  /** A peer has passed on what is none. */
  offend(peer: string): void
  /** A connected peer listens, too. */
  joined(peer: string): void
}

/** Signed announcements by gossip: what is good and new is passed on. */
export class OfferGossip {
  readonly #parts: OfferGossipParts
  /** Messages that were heard, by what they meant. */
  readonly counts = { told: 0, taken: 0, known: 0, bad: 0 }
  readonly #onSubscription: GossipListener = ({ detail: { peerId, subscriptions } }) => {
    const joined = subscriptions.some(({ topic, subscribe }) => {
      return subscribe && topic === PROTOCOLS.offers
    })
    if (joined) this.#parts.joined(peerId.toString())
  }

  constructor(parts: OfferGossipParts) {
    this.#parts = parts
  }

  start(): void {
    const { pubsub } = this.#parts
    pubsub.topicValidators.set(PROTOCOLS.offers, (from, message) =>
      this.#judge(message.data, from.toString()),
    )
    pubsub.addEventListener('subscription-change', this.#onSubscription)
    pubsub.subscribe(PROTOCOLS.offers)
  }

  stop(): void {
    this.#parts.pubsub.removeEventListener('subscription-change', this.#onSubscription)
  }

  /** Connected peers that listen. */
  listeners(): string[] {
    return this.#parts.pubsub.getSubscribers(PROTOCOLS.offers).map((peer) => peer.toString())
  }

  /** Who was told. */
  async tell(announcement: Uint8Array): Promise<string[]> {
    this.counts.told += 1
    const { recipients } = await this.#parts.pubsub.publish(PROTOCOLS.offers, announcement)
    return recipients.map((peer) => peer.toString())
  }

  #judge(data: Uint8Array, from: string): TopicValidatorResult {
    try {
      const stale = this.#parts.heard(data) === 'stale'
      this.counts[stale ? 'known' : 'taken'] += 1
      return stale ? IGNORE : ACCEPT
    } catch {
      this.counts.bad += 1
      // An honest neighbour passes on only what it has checked.
      this.#parts.offend(from)
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
