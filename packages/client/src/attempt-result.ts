import { type AttemptEnd, ManyhandsError, type TaskOutputs, type TaskResult } from '@manyhands/core'
import type { JobRun } from './job-run.ts'
import type { Task } from './task.ts'

/** What the caller's validate hook has against a result, or undefined. */
export async function validated(
  job: JobRun,
  result: TaskResult,
): Promise<ManyhandsError | undefined> {
  try {
    await job.prepared.spec.validate?.(result)
    return undefined
  } catch (cause) {
    return new ManyhandsError(
      'VALIDATION_FAILED',
      `validate: ${(cause as Error)?.message ?? cause}`,
      { cause },
    )
  }
}

/** The result of a task whose attempt at `host` decided; with an error it failed. */
export function resultOf(
  job: JobRun,
  task: Task,
  host: string,
  end: AttemptEnd,
  outputs: TaskOutputs,
  error?: ManyhandsError,
): TaskResult {
  const decoder = new TextDecoder()
  return {
    job: job.id,
    key: task.key,
    index: task.index,
    item: task.item,
    ok: error === undefined,
    phase: error === undefined ? 'completed' : 'failed',
    exitCode: end.exitCode,
    signal: end.signal,
    timedOut: end.timedOut,
    canceled: false,
    oom: end.oom,
    host,
    attempts: Math.max(1, task.dispatches),
    durationMs: end.durationMs,
    usage: end.usage,
    outputs,
    stdoutTail: decoder.decode(end.stdoutTail),
    stderrTail: decoder.decode(end.stderrTail),
    ...(error === undefined ? {} : { error: error.toJSON() }),
  }
}
