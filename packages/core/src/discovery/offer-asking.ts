import { setImmediate } from 'node:timers/promises'
import { ManyhandsError } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import type { Offer } from '../offer.ts'
import type { RpcParams, RpcResult } from '../wire/rpc-methods.ts'

/** Signatures that are checked before something else has its turn. */
const CHECKED_AT_ONCE = 32
/** The first page of a peer whose hosts are mostly known already, as it turns out. */
const FIRST_PAGE = 64

/** How far a peer's table was read. */
export interface OfferMark {
  epoch: string
  at: number
}

/** What came of asking a peer for the hosts that it knows. */
export interface AskedOffers {
  /** To ask for news from here on; absent when the peer cannot tell them. */
  mark?: OfferMark
  /** How many of its announcements were new or changed here. */
  news: number
  /** What a peer of an older version says of others: nobody has signed it. */
  hearsay: Offer[]
}

export interface AskOffersOptions {
  /** What is newer than this; omitted: everything. */
  since?: OfferMark
  /** How long the peer may wait for news. */
  waitMs?: number
  signal?: AbortSignal
}

export interface OfferAskingParts {
  call(
    peer: string,
    params: RpcParams<'offer.page'>,
    options: { signal?: AbortSignal },
  ): Promise<RpcResult<'offer.page'>>
  /** The same of a peer of an older version. */
  callOld(peer: string, options: { signal?: AbortSignal }): Promise<RpcResult<'offer.list'>>
  /** Believes an announcement if it is good; how many are news. @throws PROTOCOL */
  believe(bytes: Uint8Array, ageMs: number): boolean
}

/**
 * Asks a peer which hosts it knows, page by page, the newest first, and stops where nothing new is left.
 * What it says is checked as what is heard by gossip is.
 *
 * @throws PROTOCOL when it passes on what nobody has signed; what the call throws
 */
export async function askOffers(
  parts: OfferAskingParts,
  peer: string,
  { since, waitMs, signal }: AskOffersOptions = {},
): Promise<AskedOffers> {
  let news = 0
  let mark: OfferMark | undefined
  let before: number | undefined
  const from = since === undefined ? {} : { epoch: since.epoch, since: since.at }
  do {
    const first = mark === undefined
    const page = await parts
      .call(
        peer,
        {
          ...from,
          ...(first && waitMs !== undefined ? { waitMs } : {}),
          ...(first && since === undefined ? { limit: FIRST_PAGE } : {}),
          ...(before === undefined ? {} : { before }),
        },
        { signal },
      )
      .catch((error: unknown) => {
        if (first && error instanceof ManyhandsError && error.code === 'PROTOCOL') return undefined
        throw error
      })
    if (page === undefined) {
      const { offers } = await parts.callOld(peer, { signal })
      return { news, hearsay: offers }
    }
    mark ??= { epoch: page.epoch, at: page.mark }
    const found = await believeAll(parts, page, signal)
    news += found
    // A peer could make pages without end: each has to be further back, and worth it.
    if (page.before === undefined || page.before >= (before ?? Number.POSITIVE_INFINITY)) break
    if (found === 0) break
    before = page.before
  } while (news < LIMITS.offers)
  return { mark, news, hearsay: [] }
}

async function believeAll(
  { believe }: OfferAskingParts,
  { announcements, agesMs }: RpcResult<'offer.page'>,
  signal: AbortSignal | undefined,
): Promise<number> {
  let news = 0
  for (const [index, bytes] of announcements.entries()) {
    if (index > 0 && index % CHECKED_AT_ONCE === 0) {
      await setImmediate()
      signal?.throwIfAborted()
    }
    if (believe(bytes, agesMs[index] ?? LIMITS.offerTtlMs)) news += 1
  }
  return news
}
