import type { AttemptPhase, Duration, Offer } from '@manyhands/core'
import type { SimulatedLinkOptions } from './simulate-options.ts'

/** A host of a simulated network, and what can happen to it. */
export interface SimulatedHost {
  readonly peerId: string
  readonly addresses: string[]
  readonly offer: Offer
  /** `'away'`: not joined yet, or gone for good; `'down'`: crashed. */
  readonly state: 'away' | 'up' | 'frozen' | 'down'
  /** Attempts that it keeps: those that are not over, and ends that were not acknowledged. */
  attempts(): { id: string; task: string; job: string; phase: AttemptPhase }[]
  /** It stands still, with all that runs there, and answers nobody. */
  freeze(): void
  thaw(): void
  /** Nothing comes from it and nothing reaches it; it goes on. After a minute connections are cut. */
  cutOff(): void
  /** Others can be reached again. */
  back(): void
  /** It dies. What it ran is lost; what it had ready is there after a restart, unless its disk is gone, too. */
  crash(options?: { losesDisk?: boolean }): void
  restart(): void
  /** It takes no more work, and goes when it has done what it has; what is not done by then is evicted. */
  leave(options?: { deadline?: Duration }): void
  /** Its owner wants the computer back. */
  evict(attempt: string, reason: string): void
  /** Its access to the network changes. */
  link(conditions: SimulatedLinkOptions): void
}
