import type { HostRecord } from './host-record.ts'
import type { JobRun } from './job-run.ts'
import type { TakenBytes } from './taken-input.ts'
import type { Task } from './task.ts'

/** How fast inputs come to a host that has received none, bytes per second. */
const UNKNOWN_RATE = 10 * 1024 * 1024
/** How long a task takes where nothing is known of it, ms. */
const UNKNOWN_MS = 1_000
/** Of hosts that are as good, the emptier one: so much of a task's time is its being empty worth. */
const EMPTY = 0.1

/** What a job means for hosts, beside what each of them is: told by who schedules. */
export interface ScoreContext {
  /** Bytes of what a task takes of others: of all of it, and by the host that has them. */
  takenBytes(task: Task): TakenBytes
}

/**
 * About how long it takes until a task has a result there, ms: what has to be brought, the task itself as
 * far as this client has seen such tasks there, and that again for as often as the host fails. Less is
 * better.
 */
export function costOf(
  job: JobRun,
  task: Task | undefined,
  host: HostRecord,
  context?: ScoreContext,
): number {
  const { experience } = host
  const ms = paceOf(job, host)
  const missing = missingBytes(job, task, host, context)
  const rate = experience.bytesPerSecond ?? UNKNOWN_RATE
  const empty = host.free.cpus / Math.max(host.offer.share.cpus, 1)
  return (ms + (missing * 1000) / rate) / experience.reliability - empty * EMPTY * ms
}

/** How long tasks of the job take at a host, ms: seen in this job, or of its image before, or elsewhere. */
export function paceOf(job: JobRun, host: HostRecord): number {
  return (
    job.meter.paceAt(host.peerId) ??
    host.experience.usualMs(job.document.base.image) ??
    job.meter.usualMs ??
    UNKNOWN_MS
  )
}

function missingBytes(
  job: JobRun,
  task: Task | undefined,
  host: HostRecord,
  context: ScoreContext | undefined,
): number {
  // What the first task of a job has brought there stays for the others.
  const common = job.meter.isStaged(host.peerId) ? 0 : bytesOf(job.document.base.inputs)
  if (task === undefined) return common
  const own = task.overrides.inputs === undefined ? 0 : bytesOf(task.overrides.inputs)
  const { taken } = task.overrides
  const all = taken === undefined ? undefined : context?.takenBytes(task)
  return common + own + (all === undefined ? 0 : all.total - (all.at.get(host.peerId) ?? 0))
}

function bytesOf(inputs: readonly { bytes?: number }[]): number {
  return inputs.reduce((sum, { bytes = 0 }) => sum + bytes, 0)
}
