import type { Clock, Logger, Network, Offer, OfferMark } from '@manyhands/core'
import PQueue from 'p-queue'

/** Peers that are asked for their tables at once. */
const ASKED_AT_ONCE = 2
/** So many of the first peers are asked, whoever they are; later ones when no offer told of them. */
const ASKED_FIRST = 8
/** Peers that tell what is new, as it comes, and how long one of them may wait for it, ms. */
const TELLERS = 2
const WAIT_MS = 20_000
/** Least time from one word of news to the next, ms. */
const PAUSE_MS = 1_000

export interface HostNewsParts {
  network: Network
  clock: Clock
  logger: Logger
  /** Whether news have to be asked for: nothing is heard by gossip. */
  asks: boolean
  /** A peer of an older version says that there is a host. */
  hearsay(offer: Offer): void
}

/**
 * Asks peers which hosts they know, and goes on asking some of them for what is new: so a client that
 * comes for a moment knows all hosts without a part in their gossip.
 */
export class HostNews {
  readonly #parts: HostNewsParts
  readonly #asking = new PQueue({ concurrency: ASKED_AT_ONCE })
  readonly #closing = new AbortController()
  readonly #tellers = new Set<string>()
  /** How far the tables of connected peers were read. */
  readonly #read = new Map<string, OfferMark>()
  #asked = 0

  constructor(parts: HostNewsParts) {
    this.#parts = parts
  }

  /** A peer is connected. */
  met(peer: string): void {
    const { network } = this.#parts
    if (this.#asked >= ASKED_FIRST && network.offerAge(peer) !== undefined) return
    this.#asked += 1
    void this.#asking.add(() => this.#ask(peer)).catch(() => {})
  }

  left(peer: string): void {
    this.#read.delete(peer)
  }

  close(): void {
    this.#closing.abort()
    this.#asking.clear()
  }

  async #ask(peer: string): Promise<void> {
    const { network, hearsay } = this.#parts
    const { signal } = this.#closing
    if (signal.aborted || !network.isConnected(peer)) return
    const read = await network.askOffers(peer, { signal }).catch((cause) => {
      this.#complain(peer, cause)
      return undefined
    })
    if (read === undefined) return
    for (const offer of read.hearsay) hearsay(offer)
    if (read.mark !== undefined && network.isConnected(peer)) this.#read.set(peer, read.mark)
    this.#follow()
  }

  /** As long as there are too few tellers, others that were asked before become some. */
  #follow(): void {
    if (!this.#parts.asks || this.#closing.signal.aborted) return
    for (const peer of this.#read.keys()) {
      if (this.#tellers.size >= TELLERS) return
      if (this.#tellers.has(peer)) continue
      this.#tellers.add(peer)
      void this.#listen(peer).finally(() => {
        this.#tellers.delete(peer)
        this.#read.delete(peer)
        this.#follow()
      })
    }
  }

  /** Until it is gone, or says what nobody has signed. */
  async #listen(peer: string): Promise<void> {
    const { network, clock } = this.#parts
    const { signal } = this.#closing
    try {
      for (let since = this.#read.get(peer); since !== undefined && network.isConnected(peer); ) {
        const { mark } = await network.askOffers(peer, { since, waitMs: WAIT_MS, signal })
        since = mark
        await clock.delay(PAUSE_MS, { signal })
      }
    } catch (cause) {
      this.#complain(peer, cause)
    }
  }

  #complain(peer: string, cause: unknown): void {
    this.#parts.logger.debug('a peer did not say which hosts it knows', {
      peer,
      cause: String(cause),
    })
  }
}
