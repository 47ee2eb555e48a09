import type { KeyObject } from 'node:crypto'
import type { GossipSub } from '@libp2p/gossipsub'
import type { Offer } from '../offer.ts'
import type { RpcParams, RpcResult } from '../wire/rpc-methods.ts'
import { announcePace } from './announce-pace.ts'
import { Announcer } from './announcer.ts'
import { Neighbours, type NeighboursParts } from './neighbours.ts'
import { type Announcement, decodeAnnouncement } from './offer-announcement.ts'
import {
  type AskedOffers,
  type AskOffersOptions,
  askOffers,
  type OfferAskingParts,
} from './offer-asking.ts'
import { OfferGossip } from './offer-gossip.ts'
import { OfferPages } from './offer-pages.ts'
import { type News, OfferTable } from './offer-table.ts'

/** How often it is looked whether offers are over, ms. */
const EXPIRE_MS = 5_000

export interface DiscoveryParts
  extends Pick<OfferAskingParts, 'call' | 'callOld'>,
    Pick<NeighboursParts, 'connect' | 'isConnected'> {
  /** Undefined: takes no part in gossip; who is asked answers all the same. */
  pubsub: GossipSub | undefined
  peerId: string
  key: KeyObject
  /** Peers of which nothing is believed. */
  refuses(peer: string): boolean
  /** A peer has passed on what nobody has signed. */
  offend(peer: string): void
  /** In a private network: the member that we belong to, and whose offers count. */
  binding?: Announcement['binding']
  believes?(announcement: Announcement): boolean
  /** An offer is new or changed. */
  onOffer(offer: Offer): void
  /** A host has said goodbye, or nothing for too long. */
  onGone(peer: string): void
}

/**
 * Which hosts there are: what was heard by gossip and what was learned by asking is one table, and whoever
 * asks is told all of it as its hosts have signed it.
 */
export class Discovery {
  readonly #parts: DiscoveryParts
  readonly #table = new OfferTable()
  readonly #pages = new OfferPages(this.#table)
  readonly #gossip: OfferGossip | undefined
  readonly #neighbours: Neighbours | undefined
  readonly #announcer: Announcer
  #expiry: NodeJS.Timeout | undefined

  constructor(parts: DiscoveryParts) {
    this.#parts = parts
    const { pubsub } = parts
    if (pubsub !== undefined) {
      this.#gossip = new OfferGossip({
        pubsub,
        offend: parts.offend,
        heard: (bytes) => this.#take(bytes),
        joined: (peer) => {
          this.#announcer.joined(peer)
          this.#neighbours?.joined(peer)
        },
      })
      this.#neighbours = new Neighbours({
        ...parts,
        listeners: () => this.#gossip?.listeners() ?? [],
        hosts: () => this.#table.peers().filter((peer) => peer !== parts.peerId),
        ask: async (peer, signal) => void (await this.ask(peer, { signal })),
      })
    }
    const gossip = this.#gossip
    this.#announcer = new Announcer({
      key: parts.key,
      binding: parts.binding,
      pace: announcePace(),
      known: () => this.#table.size,
      keep: (announcement, bytes) => {
        this.#table.take(announcement, bytes)
        this.#pages.changed()
      },
      tell: gossip === undefined ? undefined : (bytes) => gossip.tell(bytes),
    })
  }

  start(): void {
    this.#gossip?.start()
    this.#neighbours?.start()
    this.#expiry = setInterval(() => {
      for (const peer of this.#table.expire()) this.#over(peer)
    }, EXPIRE_MS).unref()
  }

  async stop(): Promise<void> {
    clearInterval(this.#expiry)
    this.#neighbours?.stop()
    await this.#announcer.withdraw()
    this.#pages.close()
    this.#gossip?.stop()
  }

  /** @throws LIMIT when the offer is too large */
  publish(offer: Offer): Promise<void> {
    return this.#announcer.publish(offer)
  }

  withdraw(): Promise<void> {
    return this.#announcer.withdraw()
  }

  /** Believes nothing of a peer any more. */
  forget(peer: string): void {
    this.#table.forget(peer)
  }

  get(peer: string): Offer | undefined {
    return this.#table.get(peer)
  }

  ageOf(peer: string): number | undefined {
    return this.#table.ageOf(peer)
  }

  /** Those of others. */
  all(): Offer[] {
    return this.#table.all().filter(({ peerId }) => peerId !== this.#parts.peerId)
  }

  /** How many hosts are known, without this one. */
  get known(): number {
    return this.#table.peers().length - (this.#table.get(this.#parts.peerId) === undefined ? 0 : 1)
  }

  /** What was said and heard by gossip. */
  get gossiped(): Readonly<OfferGossip['counts']> | undefined {
    return this.#gossip?.counts
  }

  answer(asked: RpcParams<'offer.page'>, peer: string): Promise<RpcResult<'offer.page'>> {
    this.#announcer.refresh()
    return this.#pages.answer(asked, peer)
  }

  ask(peer: string, options: AskOffersOptions = {}): Promise<AskedOffers> {
    const believe = (bytes: Uint8Array, ageMs: number) => this.#take(bytes, ageMs) !== 'stale'
    return askOffers({ ...this.#parts, believe }, peer, options)
  }

  /** @throws PROTOCOL */
  #take(bytes: Uint8Array, ageMs = 0): News {
    const { peerId, refuses, believes, onOffer } = this.#parts
    if (this.#table.has(bytes)) return 'stale'
    const announcement = decodeAnnouncement(bytes)
    const { offer } = announcement
    if (offer.peerId === peerId || refuses(offer.peerId)) return 'stale'
    // A member that is not known here yet is no forger: it is not passed on, and nobody is blamed.
    if (believes?.(announcement) === false) return 'stale'
    const news = this.#table.take(announcement, bytes, ageMs)
    if (news === 'changed') onOffer(offer)
    if (news === 'gone') this.#over(offer.peerId)
    if (news === 'changed') this.#pages.changed()
    return news
  }

  #over(peer: string): void {
    this.#pages.changed()
    this.#parts.onGone(peer)
  }
}
