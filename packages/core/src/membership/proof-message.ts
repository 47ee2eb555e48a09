import { z } from 'zod'
import type { ErrorDocument } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import { errorDocumentSchema } from '../wire/attempt-event.ts'
import { type JoinRequest, joinRequestSchema } from './member-document.ts'
import { type PeerBinding, peerBindingSchema } from './peer-binding.ts'
import type { Signed } from './signed-document.ts'

/** What a peer shows of itself, once the connection is encrypted and before anything else is said on it. */
export interface Proof {
  binding: Signed<PeerBinding>
  /** Documents of members, from one that the owner has admitted to its own; empty while it joins. */
  chain: Uint8Array[]
  /** Of who joins. */
  request?: JoinRequest
}

/** Dialer → listener. */
export interface ProofOpening extends Proof {
  v: 1
}

/** Listener → dialer; the dialer's word on that has no proof. */
export type ProofAnswer =
  | {
      v: 1
      ok: true
      proof?: Proof
      /** The document of the other one, that was admitted just now. */
      admitted?: Uint8Array
    }
  | {
      v: 1
      ok: false
      error: ErrorDocument
      /** What shows that it is so: revocations. */
      documents: Uint8Array[]
    }

const textSchema = z
  .instanceof(Uint8Array)
  .refine(({ length }) => length <= LIMITS.rosterDocumentBytes, 'is too large')

const proofShape = {
  binding: peerBindingSchema,
  chain: z.array(textSchema).max(LIMITS.proofChain),
  request: joinRequestSchema.optional(),
}

export const proofOpeningSchema: z.ZodType<ProofOpening> = z.strictObject({
  v: z.literal(1),
  ...proofShape,
})

export const proofAnswerSchema: z.ZodType<ProofAnswer> = z.discriminatedUnion('ok', [
  z.strictObject({
    v: z.literal(1),
    ok: z.literal(true),
    proof: z.strictObject(proofShape).optional(),
    admitted: textSchema.optional(),
  }),
  z.strictObject({
    v: z.literal(1),
    ok: z.literal(false),
    error: errorDocumentSchema,
    documents: z.array(textSchema).max(LIMITS.proofChain),
  }),
])
