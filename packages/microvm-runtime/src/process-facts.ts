import { readFileSync } from 'node:fs'

/** Of every Linux that Node runs on. */
const TICKS_PER_SECOND = 100

/** Fields of /proc/PID/stat from the third on; the second may contain anything. */
function statOf(pid: number): string[] | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return text.slice(text.lastIndexOf(')') + 2).split(' ')
  } catch {
    return undefined
  }
}

/** When a process started, in ticks since the computer's start: with its id it names it for good. */
export function processStart(pid: number): string | undefined {
  return statOf(pid)?.[19]
}

/** Core-milliseconds that a process used; undefined when it is gone. */
export function processCpuMs(pid: number): number | undefined {
  const stat = statOf(pid)
  if (stat === undefined) return undefined
  return ((Number(stat[11]) + Number(stat[12])) * 1000) / TICKS_PER_SECOND
}
