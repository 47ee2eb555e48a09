import { setTimeout as delay } from 'node:timers/promises'
import type { AttemptDesk } from './attempt-desk.ts'
import type { AttemptRegistry } from './attempt-registry.ts'
import type { ClientRelations } from './client-relations.ts'

/** How long an unwanted client stays connected: until its attempts have ended, and then to hear of it, ms. */
const ENDING_MS = 5_000
const FAREWELL_MS = 1_000
/** What of a reason is kept and told. */
const REASON_CHARACTERS = 1000

export interface ClientEndParts {
  attempts: AttemptRegistry
  desk: AttemptDesk
  relations: ClientRelations
  /** Ends warm sandboxes of a client that no task is in. */
  endWarm(client: string): Promise<void>
}

/**
 * Ends everything of a client that is not wanted here any more. One that is here hears why before it is cut
 * off, so that its tasks move on at once.
 *
 * @param cut - ends its connections
 */
export async function endClient(
  { attempts, desk, relations, endWarm }: ClientEndParts,
  client: string,
  reason: string,
  cut: () => Promise<void>,
): Promise<void> {
  const mine = attempts.live().filter((attempt) => attempt.client === client)
  const ended = desk.end(mine, {
    phase: 'evicted',
    by: 'host',
    reason: reason.slice(0, REASON_CHARACTERS),
  })
  await within(ENDING_MS, ended)
  await within(FAREWELL_MS, relations.flushClient(client))
  await cut()
  await Promise.all([ended, endWarm(client)])
  // It will never come to acknowledge.
  await desk.abandon(client)
}

/** Waits for something, but not for long. */
async function within(ms: number, something: Promise<void>): Promise<void> {
  const waiting = new AbortController()
  const late = delay(ms, undefined, { ref: false, signal: waiting.signal }).catch(() => {})
  await Promise.race([something, late])
  waiting.abort()
}
