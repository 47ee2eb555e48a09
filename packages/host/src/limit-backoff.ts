import type { AttemptEnd, ErrorCode } from '@manyhands/core'

/** Whoever breaks a limit later than this has at least worked before. */
const SOON_MS = 5_000
/** How long a client waits after the second in a row, and at most; it doubles in between. */
const WAIT_MS = { first: 1_000, most: 30_000 }
const CLIENTS_MAX = 1_024
const LIMITS_BROKEN: ReadonlySet<ErrorCode> = new Set(['TASK_DISK', 'TASK_OOM'])
const OWN_FAILURES: ReadonlySet<ErrorCode> = new Set(['TASK_FAILED', 'TASK_TIMEOUT'])

interface Streak {
  count: number
  /** Monotonic ms. */
  until: number
}

/**
 * Attempts that break a limit as soon as they have begun cost their host a start and an end each, and
 * their neighbours the time of that. A client with several in a row has to wait between them, longer
 * and longer; one that ends by itself otherwise makes that good.
 */
export class LimitBackoff {
  readonly #streaks = new Map<string, Streak>()

  /** An attempt of the client has ended. */
  ended(client: string, end: AttemptEnd, now = performance.now()): void {
    // What was ended from outside, or by a fault of this host's, says nothing.
    if (end.by !== undefined) return
    const code = end.error?.code as ErrorCode | undefined
    const broken = code !== undefined && LIMITS_BROKEN.has(code)
    if (code !== undefined && !broken && !OWN_FAILURES.has(code)) return
    const before = this.#streaks.get(client)
    this.#streaks.delete(client)
    if (!broken || end.durationMs > SOON_MS) return
    const count = (before?.count ?? 0) + 1
    const waitMs = count < 2 ? 0 : Math.min(WAIT_MS.most, WAIT_MS.first * 2 ** (count - 2))
    // Set anew, so that the first of the map is the one that was longest without an end.
    this.#streaks.set(client, { count, until: now + waitMs })
    if (this.#streaks.size > CLIENTS_MAX) this.#streaks.delete(this.#streaks.keys().next().value!)
  }

  /** How many in a row, and how long the client still has to wait, ms. */
  of(client: string, now = performance.now()): { count: number; waitMs: number } {
    const { count, until } = this.#streaks.get(client) ?? { count: 0, until: 0 }
    return { count, waitMs: Math.max(0, until - now) }
  }
}
