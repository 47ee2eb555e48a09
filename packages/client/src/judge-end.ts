import type { AttemptEnd, AttemptPhase, ErrorCode } from '@manyhands/core'
import { ERRORS } from '@manyhands/core'

/** What follows from the end of an attempt. */
export type Verdict =
  /** The result counts, once its outputs are here. */
  | 'accept'
  /** The task's own failure: uses up one of its attempts. */
  | 'task-failure'
  /** It asks to be continued from what it left, or where it was if that did not come: at nobody's expense. */
  | 'continue'
  /** Nobody can do better: the task fails now. */
  | 'give-up'
  /** Not the task's fault: it goes elsewhere, at nobody's expense. */
  | 'move'
  /** As move, and this host is not asked again for this job. */
  | 'move-and-exclude'

/** What the same host would repeat for every task of the job. */
const EXCLUDING: ReadonlySet<ErrorCode> = new Set([
  'RECEIPT_INVALID',
  'IMAGE_NOT_FOUND',
  'HOST_REFUSED',
  'UNSUPPORTED',
])

/** Whose fault decides: one table for ends and for refusals of an offer. */
export function judgeError(code: ErrorCode): Exclude<Verdict, 'accept' | 'continue'> {
  if (EXCLUDING.has(code)) return 'move-and-exclude'
  switch (ERRORS[code].blame) {
    case 'task':
      return 'task-failure'
    case 'caller':
      return 'give-up'
    default:
      return 'move'
  }
}

/** Judges how an attempt ended. */
export function judgeEnd(phase: AttemptPhase, end: AttemptEnd): Verdict {
  if (phase === 'completed') return 'accept'
  if (phase === 'failed' && end.error !== undefined) {
    return judgeError(Object.hasOwn(ERRORS, end.error.code) ? end.error.code : 'HOST_FAILED')
  }
  return 'move'
}
