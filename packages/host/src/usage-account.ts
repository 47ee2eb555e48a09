import type { AttemptPhase } from '@manyhands/core'

const HOUR_MS = 3_600_000
/** Hours of which an account knows what was used: the current one and those of a day before. */
const HOURS = 24

export type EndPhase = Extract<
  AttemptPhase,
  'completed' | 'failed' | 'canceled' | 'lost' | 'evicted'
>

/** What one client, or one of its jobs, has used in all. This is what the journal keeps, as JSON. */
export interface AccountDocument {
  jobName?: string
  ended: Record<EndPhase, number>
  cpuMs: number
  runMs: number
  bytesIn: number
  bytesOut: number
  /** Hour of the Unix epoch, core-milliseconds in it, bytes in and out in it; oldest first. */
  hours: [hour: number, cpuMs: number, bytes: number][]
}

export function newAccount(jobName?: string): AccountDocument {
  return {
    ...(jobName === undefined ? {} : { jobName }),
    ended: { completed: 0, failed: 0, canceled: 0, lost: 0, evicted: 0 },
    cpuMs: 0,
    runMs: 0,
    bytesIn: 0,
    bytesOut: 0,
    hours: [],
  }
}

/** Adds to an account, also to its current hour. */
export function charge(
  account: AccountDocument,
  used: { cpuMs?: number; runMs?: number; bytesIn?: number; bytesOut?: number },
  now: number,
): void {
  const { cpuMs = 0, runMs = 0, bytesIn = 0, bytesOut = 0 } = used
  account.cpuMs += cpuMs
  account.runMs += runMs
  account.bytesIn += bytesIn
  account.bytesOut += bytesOut
  const hour = hourOf(now)
  let current = account.hours.at(-1)
  // A clock that was set back goes on in the newest hour: nothing is forgotten by it.
  if (current === undefined || current[0] < hour) {
    current = [hour, 0, 0]
    account.hours.push(current)
    while (account.hours.length > 0 && account.hours[0]![0] <= hour - HOURS) account.hours.shift()
  }
  current[1] += cpuMs
  current[2] += bytesIn + bytesOut
}

/** What was used in the last 24 hours, to the hour. */
export function lastDay(account: AccountDocument, now: number): { cpuMs: number; bytes: number } {
  const oldest = hourOf(now) - HOURS
  const day = { cpuMs: 0, bytes: 0 }
  for (const [hour, cpuMs, bytes] of account.hours) {
    if (hour <= oldest) continue
    day.cpuMs += cpuMs
    day.bytes += bytes
  }
  return day
}

function hourOf(now: number): number {
  return Math.floor(now / HOUR_MS)
}
