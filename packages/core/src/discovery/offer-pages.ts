import { randomBytes } from 'node:crypto'
import { LIMITS } from '../limits.ts'
import type { RpcParams, RpcResult } from '../wire/rpc-methods.ts'
import type { OfferTable } from './offer-table.ts'

/** News within this time are told together, ms. */
const TOGETHER_MS = 200

/** Answers which hosts are known, page by page, also to those who wait for news. */
export class OfferPages {
  readonly #table: OfferTable
  readonly #epoch = randomBytes(8).toString('hex')
  /** One per peer: whoever asks again has given up on the first. */
  readonly #waiting = new Map<string, () => void>()
  #newsAt = 0
  #timer: NodeJS.Timeout | undefined

  constructor(table: OfferTable) {
    this.#table = table
  }

  async answer(asked: RpcParams<'offer.page'>, peer: string): Promise<RpcResult<'offer.page'>> {
    const { limit = LIMITS.offersPerAnswer, before, waitMs = 0 } = asked
    const since = asked.epoch === this.#epoch ? (asked.since ?? 0) : 0
    if (waitMs > 0 && since > 0 && this.#newsAt <= since) await this.#news(peer, waitMs)
    const { mark } = this.#table
    const page: RpcResult<'offer.page'> = {
      epoch: this.#epoch,
      mark,
      announcements: [],
      agesMs: [],
    }
    let bytes = 0
    let last = mark
    for (const kept of this.#table.newestFirst(before)) {
      if (kept.mark <= since) break
      bytes += kept.bytes.length
      if (page.announcements.length >= limit || bytes > LIMITS.offerPageBytes) {
        return { ...page, before: last }
      }
      last = kept.mark
      page.announcements.push(kept.bytes)
      page.agesMs.push(kept.ageMs)
    }
    return page
  }

  /** Something was taken that is more than a repetition. */
  changed(): void {
    this.#newsAt = this.#table.mark
    if (this.#waiting.size === 0) return
    this.#timer ??= setTimeout(() => this.#tell(), TOGETHER_MS).unref()
  }

  /** Whoever waits is answered now. */
  close(): void {
    this.#tell()
  }

  #tell(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    for (const tell of [...this.#waiting.values()]) tell()
  }

  #news(peer: string, waitMs: number): Promise<void> {
    this.#waiting.get(peer)?.()
    return new Promise((resolve) => {
      const tell = () => {
        clearTimeout(timer)
        if (this.#waiting.get(peer) === tell) this.#waiting.delete(peer)
        resolve()
      }
      const timer = setTimeout(tell, waitMs).unref()
      this.#waiting.set(peer, tell)
    })
  }
}
