import {
  type AttemptEnd,
  type AttemptTimeline,
  type ErrorDocument,
  ManyhandsError,
  type TaskOutputs,
  type TaskResult,
} from '@manyhands/core'
import type { JobRun } from './job-run.ts'
import type { LiveAttempt, Task } from './task.ts'

/** What the caller's validate hook has against a result, or undefined. */
export async function validated(
  job: JobRun,
  result: TaskResult,
): Promise<ManyhandsError | undefined> {
  try {
    await job.hooks.validate?.(result)
    return undefined
  } catch (cause) {
    return new ManyhandsError(
      'VALIDATION_FAILED',
      `validate: ${(cause as Error)?.message ?? cause}`,
      { cause },
    )
  }
}

/** The result of a task whose attempt decided; with an error it failed. */
export function resultOf(
  job: JobRun,
  task: Task,
  { host, timeline }: Pick<LiveAttempt, 'host' | 'timeline'>,
  end: AttemptEnd,
  outputs: TaskOutputs,
  error?: ManyhandsError,
): TaskResult {
  return {
    job: job.id,
    key: task.key,
    index: task.place,
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
    stdoutTail: textOf(end.stdoutTail),
    stderrTail: textOf(end.stderrTail),
    timeline: { ...timeline },
    ...(end.receipt === undefined ? {} : { receipt: end.receipt }),
    ...(error === undefined ? {} : { error: inPhase(error.toJSON(), timeline) }),
  }
}

const decoder = new TextDecoder()
const textOf = (bytes: Uint8Array) => (bytes.length === 0 ? '' : decoder.decode(bytes))

/** An error says in which phase of the attempt it came. */
function inPhase(error: ErrorDocument, timeline: AttemptTimeline): ErrorDocument {
  const phase = PHASES.findLast((one) => timeline[one] !== undefined)
  return { ...error, details: { ...error.details, phase } }
}

/** In the order in which an attempt has them. */
const PHASES = ['offered', 'staging', 'running', 'collecting'] as const
