import { type ErrorCode, toManyhandsError } from '@manyhands/core'

/** Failures of the way to a peer: what it was asked it may have done, and its answer is not here. */
const UNHEARD: ReadonlySet<ErrorCode> = new Set(['CONNECT_FAILED', 'PEER_GONE', 'TIMEOUT'])

/** Whether something failed on its way, so that nothing is known of what it came to. */
export function isUnheard(cause: unknown): boolean {
  return UNHEARD.has(toManyhandsError(cause).code)
}
