import type { Attempt } from './attempt.ts'

/** A timer that is later than this many heartbeats means that this computer slept or stalled. */
const STALL_HEARTBEATS = 3

export interface LeaseKeeperOptions {
  heartbeatMs: number
  orphanMs: number
  /** Attempts of the client that are not over. */
  live(): Attempt[]
  /** Renews at the client; answers the ids that are no longer wanted. */
  renew(ids: string[], timeoutMs: number): Promise<string[]>
  unwanted(ids: string[]): void
  /** The client has been silent for the orphan time. */
  orphaned(attempts: Attempt[]): void
}

/**
 * Renews one client's leases, all of its attempts in one call. Time is monotonic, and counted from
 * when a renewal was sent, so that the host never believes longer than its client.
 */
export class LeaseKeeper {
  readonly #options: LeaseKeeperOptions
  #timer: NodeJS.Timeout | undefined
  #heartbeatMs: number
  #renewedAt = performance.now()
  #expected = 0
  #closed = false

  constructor(options: LeaseKeeperOptions) {
    this.#options = options
    this.#heartbeatMs = options.heartbeatMs
    this.#schedule()
  }

  setHeartbeat(heartbeatMs: number): void {
    this.#heartbeatMs = heartbeatMs
    this.touch()
    this.#schedule()
  }

  /** The client was heard of: any request of it renews. */
  touch(): void {
    this.#renewedAt = performance.now()
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#timer)
  }

  #schedule(): void {
    clearTimeout(this.#timer)
    if (this.#closed) return
    this.#expected = performance.now() + this.#heartbeatMs
    this.#timer = setTimeout(() => void this.#beat(), this.#heartbeatMs)
    this.#timer.unref()
  }

  async #beat(): Promise<void> {
    const late = performance.now() - this.#expected
    if (late > STALL_HEARTBEATS * this.#heartbeatMs) {
      // The silence was ours: the client gets a full lease to be heard again.
      this.#renewedAt = Math.max(this.#renewedAt, performance.now() - this.#heartbeatMs)
    }
    const live = this.#options.live()
    if (live.length > 0) await this.#renew(live)
    this.#schedule()
  }

  async #renew(live: Attempt[]): Promise<void> {
    const sentAt = performance.now()
    try {
      const unwanted = await this.#options.renew(
        live.map((attempt) => attempt.id),
        STALL_HEARTBEATS * this.#heartbeatMs,
      )
      this.#renewedAt = Math.max(this.#renewedAt, sentAt)
      if (unwanted.length > 0) this.#options.unwanted(unwanted)
    } catch {
      // Unreachable now; what is done about it depends on how long.
      if (performance.now() - this.#renewedAt > this.#options.orphanMs) this.#options.orphaned(live)
    }
  }
}
