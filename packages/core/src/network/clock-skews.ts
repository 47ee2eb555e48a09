import { LIMITS } from '../limits.ts'
import type { RpcMethod } from '../wire/rpc-methods.ts'
import type { Logger } from './network.ts'

/**
 * How far the clocks of connected peers are ahead of ours, as greetings tell. Nothing is decided by it:
 * leases and offers count on monotonic clocks. It is for people, who look at two logs or at an invite
 * that is over already.
 */
export class ClockSkews {
  readonly #aheadMs = new Map<string, number>()
  readonly #logger: Logger | undefined
  readonly #now: () => number

  constructor(logger?: Logger, now: () => number = Date.now) {
    this.#logger = logger
    this.#now = now
  }

  /** How far a peer's clock is ahead of ours, ms; negative: behind; undefined: it did not tell. */
  of(peer: string): number | undefined {
    return this.#aheadMs.get(peer)
  }

  forget(peer: string): void {
    this.#aheadMs.delete(peer)
  }

  /** A question or an answer with our clock, where there is a place for it. */
  with<Document>(method: RpcMethod, document: Document): Document {
    return method === 'hello' ? { ...document, clockMs: this.#now() } : document
  }

  /** A peer told its clock, half of `tookMs` ago. */
  told(peer: string, document: unknown, tookMs = 0): void {
    const { clockMs } = document as { clockMs?: number }
    if (clockMs === undefined) return
    const aheadMs = Math.round(clockMs + tookMs / 2 - this.#now())
    const known = this.#aheadMs.has(peer)
    this.#aheadMs.set(peer, aheadMs)
    if (known || Math.abs(aheadMs) <= LIMITS.clockSkewMs) return
    this.#logger?.warn('the clock of a peer differs from ours; nothing depends on it', {
      peer,
      aheadMs,
    })
  }
}
