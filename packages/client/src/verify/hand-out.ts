import type { AcceptSpec } from '@manyhands/core'
import type { ResultState } from './result-book.ts'

/**
 * Whether the result of a task that completed may be given to the caller.
 *
 * @param state - undefined when nothing is known of it: it is only just here
 * @param over - the job is
 */
export function mayHandOut(
  accept: AcceptSpec,
  state: ResultState | undefined,
  over: boolean,
): boolean {
  if (state === 'fallen') return false
  if (accept === 'provisional' || accept === 'latest') return true
  if (state === 'stands') return true
  // What was not checked when the job was ended before its time never is.
  return state === 'agreed' && (accept === 'quorum' || over)
}
