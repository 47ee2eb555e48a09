import {
  type AttemptEnd,
  type AttemptPhase,
  ManyhandsError,
  type RuntimeExit,
} from '@manyhands/core'
import type { Attempt } from './attempt.ts'

/** The end of an attempt, as far as it is known: how its sandbox ended, or what went wrong before. */
export function endOf(
  attempt: Attempt,
  known: { exit?: RuntimeExit; durationMs?: number; error?: ManyhandsError },
): AttemptEnd {
  const { exit } = known
  return {
    exitCode: exit?.exitCode,
    signal: exit?.signal,
    oom: exit?.oom ?? false,
    timedOut: exit?.reason === 'max-runtime',
    durationMs: Math.round(known.durationMs ?? attempt.runMs),
    usage: attempt.usage,
    stdoutTail: attempt.stdout.bytes(),
    stderrTail: attempt.stderr.bytes(),
    error: (known.error ?? (exit && exitError(exit, attempt)))?.toJSON(),
  }
}

/** The end of an attempt that was ended from outside says so, whatever its sandbox made of it. */
export function endedFromOutside(attempt: Attempt, end: AttemptEnd): AttemptPhase {
  if (attempt.intent === undefined) return phaseOf(end)
  const { phase, by, reason } = attempt.intent
  end.by = by
  end.reason = reason
  end.outputs = undefined
  end.error =
    phase === 'evicted'
      ? new ManyhandsError('EVICTED', `evicted by the host: ${reason}`).toJSON()
      : undefined
  return phase
}

function phaseOf(end: AttemptEnd): AttemptPhase {
  if (end.error === undefined) return 'completed'
  return end.error.code === 'HOST_LOST' ? 'lost' : 'failed'
}

/** What an exit means; undefined is success. Exit code 0 alone is not: it must have ended by itself. */
function exitError(exit: RuntimeExit, attempt: Attempt): ManyhandsError | undefined {
  const detail = exit.detail === undefined ? '' : `: ${exit.detail}`
  switch (exit.reason) {
    case 'max-runtime':
      return new ManyhandsError(
        'TASK_TIMEOUT',
        `the task ran longer than its ${attempt.spec.timeoutMs} ms${detail}`,
      )
    case 'disk':
      return new ManyhandsError(
        'TASK_DISK',
        `the task wrote more than its ${attempt.limits.diskBytes} bytes${detail}`,
      )
    case 'engine-lost':
      return new ManyhandsError(
        'RUNTIME_UNAVAILABLE',
        `the engine went away under the task${detail}`,
      )
    case 'stopped':
      return new ManyhandsError('HOST_FAILED', `the sandbox was stopped from outside${detail}`)
    case 'exited':
      if (exit.exitCode === 0) return undefined
      if (exit.oom) {
        return new ManyhandsError(
          'TASK_OOM',
          `the task used up its ${attempt.limits.memoryBytes} bytes of memory${detail}`,
        )
      }
      return new ManyhandsError(
        'TASK_FAILED',
        exit.signal === undefined
          ? `the task ended with exit code ${exit.exitCode ?? 'unknown'}${detail}`
          : `the task was ended by ${exit.signal}${detail}`,
      )
  }
}
