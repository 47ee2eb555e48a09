import { LIMITS } from '../limits.ts'

/** The least that is told: every announcement costs every member about a millisecond. */
const LEAST_MS = 60_000
/** All hosts together announce about once in this time, however many there are, ms. */
const EACH_MS = 1_000
/** Missed repetitions until an offer is not believed any more. */
const MISSED = 3
/** What is only free or busy is told no more often than this, ms. */
const CHANGE_MS = 1_000

/** How often a host speaks unasked: the more hosts there are, the less each of them. */
export interface AnnouncePace {
  /** From one repetition to the next. */
  periodMs(hosts: number): number
  /** How long an announcement is good. */
  timeToLiveMs(hosts: number): number
  /** Least time between two words on what is free. */
  changePauseMs(hosts: number): number
}

/** @param pace - for tests and measurements: other times */
export function announcePace({ leastMs = LEAST_MS, eachMs = EACH_MS } = {}): AnnouncePace {
  const most = LIMITS.offerTtlMostMs / MISSED
  const periodMs = (hosts: number) => Math.min(most, Math.max(leastMs, hosts * eachMs))
  return {
    periodMs,
    timeToLiveMs: (hosts) => Math.max(LIMITS.offerTtlMs, MISSED * periodMs(hosts)),
    changePauseMs: (hosts) => Math.max(CHANGE_MS, (hosts * eachMs) / 2),
  }
}
