import type { Clock } from '@manyhands/core'
import type { SimulatedAttempt } from './simulated-attempt.ts'

/** The shortest and longest heartbeat that a client may propose, ms. */
const HEARTBEAT_MS = { least: 100, usual: 5_000, most: 60_000 }
/** A renewal waits so many heartbeats for its answer. */
const PATIENCE = 3
/** A client that is silent for so long has no work here any more, ms. */
const ORPHAN_MS = 600_000

export interface SimulatedLeaseParts {
  clock: Clock
  live(): SimulatedAttempt[]
  renew(ids: string[], timeoutMs: number): Promise<string[]>
  unwanted(ids: string[]): void
  orphaned(): void
}

/** Renews what one client has at a simulated host, all of it in one call per heartbeat. */
export class SimulatedLease {
  readonly #parts: SimulatedLeaseParts
  #heartbeatMs = HEARTBEAT_MS.usual
  #heardAt: number
  #next: () => void = () => {}

  constructor(parts: SimulatedLeaseParts) {
    this.#parts = parts
    this.#heardAt = parts.clock.now()
    this.#schedule()
  }

  /** The client proposes a heartbeat; returns the one that holds. */
  agree(heartbeatMs: number): number {
    this.#heartbeatMs = Math.min(HEARTBEAT_MS.most, Math.max(HEARTBEAT_MS.least, heartbeatMs))
    this.touch()
    this.#schedule()
    return this.#heartbeatMs
  }

  touch(): void {
    this.#heardAt = this.#parts.clock.now()
  }

  #schedule(): void {
    this.#next()
    this.#next = this.#parts.clock.after(this.#heartbeatMs, () => {
      void this.#beat().finally(() => this.#schedule())
    })
  }

  async #beat(): Promise<void> {
    const { clock, live, renew, unwanted, orphaned } = this.#parts
    const ids = live().map(({ id }) => id)
    if (ids.length === 0) return
    try {
      const gone = await renew(ids, PATIENCE * this.#heartbeatMs)
      this.touch()
      if (gone.length > 0) unwanted(gone)
    } catch {
      if (clock.now() - this.#heardAt > ORPHAN_MS) orphaned()
    }
  }
}
