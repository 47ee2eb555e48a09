import { randomUUID } from 'node:crypto'
import { rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Check, type Examiner, ok, warn } from './check.ts'
import { nearestDirectory } from './state-check.ts'

/** Further apart than this, times in logs, journals and hours of the schedule contradict each other. */
const SKEW_MS = 2000

/** This clock against those of the engine and of the disk. Leases do not depend on any of them. */
export const clockCheck: Examiner = async ({ engines, stateDirectory }) => {
  const disk = await diskAheadMs(await nearestDirectory(stateDirectory))
  return [describeClock({ engine: engines?.engine?.clockAheadMs, 'file system': disk })]
}

/** @param ahead - of each other clock, by how many ms it is ahead of ours; undefined: nothing tells */
export function describeClock(ahead: Record<string, number | undefined>, now = new Date()): Check {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone
  const parts = Object.entries(ahead).map(([name, ms]) =>
    ms === undefined
      ? `${name} unknown`
      : `${name} ${ms >= 0 ? '+' : ''}${(ms / 1000).toFixed(1)} s`,
  )
  const detail = `${now.toISOString()}, hours are those of ${zone}; ${parts.join(', ')}`
  const skewed = Object.values(ahead).some((ms) => Math.abs(ms ?? 0) > SKEW_MS)
  if (!skewed) return ok('clock', detail)
  return warn('clock', detail, 'Set the clocks by NTP, so that times in logs and journals agree.')
}

async function diskAheadMs(directory: string): Promise<number | undefined> {
  const path = join(directory, `.manyhands-clock-${randomUUID()}`)
  try {
    const before = Date.now()
    await writeFile(path, '', { flag: 'wx' })
    return Math.round((await stat(path)).mtimeMs - (before + Date.now()) / 2)
  } catch {
    return undefined
  } finally {
    await rm(path, { force: true }).catch(() => {})
  }
}
