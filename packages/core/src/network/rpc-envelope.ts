import type { ErrorDocument } from '../errors.ts'
import { ManyhandsError, toManyhandsError } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import { errorDocumentSchema } from '../wire/attempt-event.ts'
import { decodeValue, encodeDocument } from '../wire/codec.ts'

/** What is asked. `id` is the asker's own; the answer carries it back. */
export interface RpcRequest {
  v: number
  id: number
  method: string
  params: unknown
}

export type RpcAnswer =
  | { v: number; id: number; ok: true; result: unknown }
  | { v: number; id: number; ok: false; error: ErrorDocument }

/** The version that is written. Requests of another one are answered with an error. */
export const RPC_VERSION = 1

const MESSAGE_CHARACTERS = 8192
const HINT_CHARACTERS = 2048

/** @throws FRAME_TOO_LARGE, PROTOCOL when it cannot be encoded */
export function encodeEnvelope(envelope: RpcRequest | RpcAnswer): Uint8Array {
  const bytes = encodeDocument(envelope)
  if (bytes.length <= LIMITS.rpcFrameBytes) return bytes
  throw new ManyhandsError(
    'FRAME_TOO_LARGE',
    `a message of ${bytes.length} bytes is beyond the limit of ${LIMITS.rpcFrameBytes}`,
  )
}

/** Reads an envelope; what is in it is checked by who knows the method. @throws PROTOCOL */
export function decodeEnvelope(bytes: Uint8Array): RpcRequest | RpcAnswer {
  const decoded = decodeValue(bytes, 'an unreadable frame')
  const envelope = decoded as Partial<RpcRequest & RpcAnswer> | null
  if (!Number.isSafeInteger(envelope?.id)) throw unreadable('no id')
  if (typeof envelope?.method === 'string') return envelope as RpcRequest
  if (envelope?.ok === true) return envelope as RpcAnswer
  if (envelope?.ok !== false) throw unreadable('neither a request nor an answer')
  const { success } = errorDocumentSchema.safeParse((envelope as { error?: unknown }).error)
  if (!success) throw unreadable('an answer with no proper error')
  return envelope as RpcAnswer
}

/** The answer that carries an error, cut to what every reader takes. */
export function encodeFailure(id: number, thrown: unknown): Uint8Array {
  const { code, message, hint, blame, details } = toManyhandsError(thrown).toJSON()
  const error: ErrorDocument = {
    code,
    message: message.slice(0, MESSAGE_CHARACTERS),
    hint: hint.slice(0, HINT_CHARACTERS),
    blame,
  }
  const answer = { v: RPC_VERSION, id, ok: false as const, error }
  try {
    return encodeEnvelope({ ...answer, error: { ...error, details } })
  } catch {
    // Details are the handler's own and may hold anything; the rest is text.
    return encodeEnvelope(answer)
  }
}

const unreadable = (why: string): ManyhandsError =>
  new ManyhandsError('PROTOCOL', `an unreadable frame: ${why}`)
