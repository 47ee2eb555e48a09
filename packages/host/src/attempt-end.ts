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
    oom: exit?.oom ?? false,
    error: (known.error ?? (exit && exitError(exit, attempt)))?.toJSON(),
    usage: attempt.usage,
    signal: exit?.signal,
    exitCode: exit?.exitCode,
    timedOut: exit?.reason === 'max-runtime',
    durationMs: Math.round(known.durationMs ?? attempt.runMs),
    stderrTail: attempt.stderr.bytes(),
    stdoutTail: attempt.stdout.bytes(),
  }
}

/** The end of an attempt that was ended from outside says so, whatever its sandbox made of it. */
export function endedFromOutside(attempt: Attempt, end: AttemptEnd): AttemptPhase {
  const ended = attempt.intent?.phase ?? phaseOf(end)
  // Of one that its client has ended nobody asks for anything; and a result needs no checkpoint.
  const goesOn = ended !== 'completed' && ended !== 'canceled'
  end.checkpoint = goesOn ? attempt.checkpoints.pending : undefined
  if (attempt.intent === undefined) return ended
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

/** Whether a task ended by itself with the code that means: checkpointed, continue me. */
export function asksToContinue({ spec }: Attempt, exit: RuntimeExit): boolean {
  const code = spec.checkpoint?.continueCode
  return code !== undefined && exit.reason === 'exited' && !exit.oom && exit.exitCode === code
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
