import { type ManyhandsError, NO_USAGE, type TaskPhase, type TaskResult } from '@manyhands/core'
import { storedReceipt } from './stored-receipt.ts'
import { NO_OUTPUTS } from './task-outputs.ts'

/** A result as the journal keeps it: JSON without what has a column of its own. */
export function documentOf(result: TaskResult): string {
  const { outputs: _, item: __, job: ___, key: ____, index: _____, receipt, ...document } = result
  if (receipt === undefined) return JSON.stringify(document)
  return JSON.stringify({ ...document, receipt: storedReceipt(result, receipt) })
}

/** The result of a task that was not decided by an attempt. */
export function resultWithout(
  of: Pick<TaskResult, 'job' | 'key' | 'index' | 'item' | 'attempts'>,
  phase: TaskPhase,
  error: ManyhandsError,
): TaskResult {
  return {
    ...of,
    ok: false,
    phase,
    exitCode: undefined,
    signal: undefined,
    timedOut: false,
    canceled: phase === 'canceled',
    oom: false,
    host: undefined,
    durationMs: 0,
    usage: NO_USAGE,
    outputs: NO_OUTPUTS,
    stdoutTail: '',
    stderrTail: '',
    error: error.toJSON(),
  }
}
