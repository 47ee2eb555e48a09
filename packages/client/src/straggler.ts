import { LIMITS } from '@manyhands/core'
import type { HostRecord } from './host-record.ts'
import type { JobRun } from './job-run.ts'
import type { Task } from './task.ts'

export interface Lookout {
  now: number
  /** Whether a host was not heard of lately. */
  suspect(peer: string): boolean
}

/** Tasks that are out once and late, the latest first. */
export function lateTasks(job: JobRun, { now, suspect }: Lookout): Task[] {
  const { speculateAfter } = job.document
  const { usualMs } = job.meter
  if (speculateAfter === undefined) return []
  const late: { task: Task; sentAt: number }[] = []
  for (const task of job.tasks.running.values()) {
    // A larger part of a range is cut, and does not run twice as it is.
    if (task.chunk !== undefined && task.chunk.first !== task.chunk.last) continue
    const [attempt, another] = task.running
    if (attempt === undefined || another !== undefined) continue
    const { sentAt, host } = attempt
    const isLate = usualMs !== undefined && now - sentAt > speculateAfter * usualMs
    if (isLate || suspect(host)) late.push({ task, sentAt })
  }
  return late.sort((a, b) => a.sentAt - b.sentAt).map(({ task }) => task)
}

/** A check is not late before it has taken so long, ms. */
const LATE_CHECK_MS = 1_000
/** After how many times as long as usual a check is late, where the job does not say. */
const LATE_CHECK = 3

/** Checks of which every attempt is late, the latest first: nothing is handed out before they are over. */
export function lateChecks(job: JobRun, { now, suspect }: Lookout): Task[] {
  const { usualMs } = job.meter
  const after = job.document.speculateAfter ?? LATE_CHECK
  const lateMs = Math.max(LATE_CHECK_MS, after * (usualMs ?? Number.POSITIVE_INFINITY))
  const running = [...(job.checking?.replicas.running.values() ?? [])]
  return running
    .filter(({ running: attempts }) => {
      if (attempts.length === 0 || attempts.length >= LIMITS.resultsCompared) return false
      return attempts.every(({ sentAt, host }) => now - sentAt > lateMs || suspect(host))
    })
    .sort((a, b) => sentAt(a) - sentAt(b))
}

const sentAt = ({ running }: Task) => Math.min(...running.map((attempt) => attempt.sentAt))

/** The first of them that a host could run as well. */
export function straggler(late: Task[], { peerId }: HostRecord): Task | undefined {
  return late.find((task) => {
    const [attempt, another] = task.running
    if (attempt === undefined || another !== undefined || attempt.host === peerId) return false
    return !task.avoid.has(peerId) && !task.keepsAwayFrom(peerId)
  })
}
