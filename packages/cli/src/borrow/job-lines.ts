import type { JobEvent, JobProgress, JobSummary } from '@manyhands/client'
import type { TaskResult } from '@manyhands/core'

/** What scripts read of a job. Fields are added over time, never removed or renamed. */

export type AttemptEvent = Extract<JobEvent, { kind: 'attempt' }>
export type OutputEvent = Extract<JobEvent, { kind: 'output' }>

export type CheckpointEvent = Extract<JobEvent, { kind: 'checkpoint' }>

export type ImageEvent = Extract<JobEvent, { kind: 'image' }>

export function attemptLine(event: AttemptEvent) {
  const { job, task, attempt, host, phase, check, by, reason, error, usage, provisional } = event
  const { startedFrom } = event
  return {
    job,
    task,
    attempt,
    host,
    phase,
    ...(check === undefined ? {} : { check }),
    ...(by === undefined ? {} : { by }),
    ...(reason === undefined ? {} : { reason }),
    ...(error === undefined ? {} : { error }),
    ...(usage === undefined ? {} : { usage }),
    ...(provisional === undefined ? {} : { provisional }),
    ...(startedFrom === undefined ? {} : { startedFrom }),
  }
}

/** A file that came while its task runs; `saved` is where it was saved to. */
export function outputLine(event: OutputEvent, saved: string | undefined) {
  const { job, task, attempt, host, path, bytes, executable } = event
  return {
    job,
    task,
    attempt,
    host,
    path,
    bytes,
    executable,
    ...(saved === undefined ? {} : { saved }),
  }
}

export type CheckEvent = Extract<JobEvent, { kind: 'check' }>

/** The check of a result is over. */
export function checkLine({ job, task, outcome, hosts, wrong }: CheckEvent) {
  return { job, task, outcome, hosts, wrong }
}

/** Where a task goes on when its attempt is lost now. */
export function checkpointLine({ job, task, attempt, host, root, bytes }: CheckpointEvent) {
  return { job, task, attempt, host, root, bytes }
}

/** An image of this computer's engine is exported for hosts that lack it, or ready. */
export function imageLine({ job, image, phase, bytes }: ImageEvent) {
  return { job, image, phase, bytes }
}

/** A task that is over; `saved` is the directory that its outputs were saved to. */
export function taskLine(result: TaskResult, saved: string | undefined) {
  return {
    job: result.job,
    key: result.key,
    index: result.index,
    item: result.item ?? null,
    ok: result.ok,
    phase: result.phase,
    exitCode: result.exitCode ?? null,
    signal: result.signal ?? null,
    timedOut: result.timedOut,
    canceled: result.canceled,
    oom: result.oom,
    host: result.host ?? null,
    attempts: result.attempts,
    durationMs: result.durationMs,
    usage: result.usage,
    outputs: result.outputs.files,
    ...(saved === undefined ? {} : { saved }),
    stdoutTail: result.stdoutTail,
    stderrTail: result.stderrTail,
    ...(result.agreedBy === undefined ? {} : { agreedBy: result.agreedBy }),
    ...(result.provisional === undefined ? {} : { provisional: true }),
    ...(result.error === undefined ? {} : { error: result.error }),
  }
}

/** Tasks that a line lists one by one: there may be four such lines a second. */
const LISTED = 100

export function progressLine(job: string, progress: JobProgress, hosts: number) {
  return { job, ...progress, active: progress.active.slice(0, LISTED), hosts }
}

export function jobLine(summary: JobSummary) {
  const { id, name, phase, counts, bytesUp, bytesDown, durationMs, error } = summary
  return {
    job: id,
    name,
    phase,
    counts,
    bytesUp,
    bytesDown,
    durationMs,
    ...(error === undefined ? {} : { error }),
  }
}
