import { z } from 'zod'
import { LIMITS } from '../limits.ts'
import { peerIdSchema } from '../wire/job-claim.ts'
import { type Delegation, delegationFault, delegationSchema, timeSchema } from './delegation.ts'
import { isSignedBy, type Signed, signatureSchema } from './signed-document.ts'

/** The word of the owner, or of who invited it, that somebody is no member any more. */
export interface Revocation {
  v: 1
  network: string
  /** Key of the member that is revoked. */
  member: string
  /** Ms since 1970; told, never compared. */
  at: number
  /** Who says so: the network's own key, or the delegate that invited the member. */
  by: string
  reason: string
  /**
   * Documents that rest on the member and stay good: of others that it has witnessed, invited or revoked
   * before. What rests on it and is not named is void, whenever it claims to be of: nobody's clock decides.
   */
  keeps: string[]
}

export interface RevocationDocument {
  v: 1
  kind: 'revocation'
  revocation: Signed<Revocation>
  /** Of who says so, when that is not the owner. */
  delegation?: Signed<Delegation>
}

/** The owner's word that a member may invite, told to all. */
export interface DelegationDocument {
  v: 1
  kind: 'delegation'
  delegation: Signed<Delegation>
}

/** SHA-256 of a document as it is encoded, hexadecimal, the first half. */
export const documentIdSchema = z.string().regex(/^[0-9a-f]{32}$/)

export const revocationDocumentSchema = z.strictObject({
  v: z.literal(1),
  kind: z.literal('revocation'),
  revocation: z.strictObject({
    v: z.literal(1),
    network: peerIdSchema,
    member: peerIdSchema,
    at: timeSchema,
    by: peerIdSchema,
    reason: z.string().max(LIMITS.revocationReasonCharacters),
    keeps: z.array(documentIdSchema).max(LIMITS.networkMembers),
    signature: signatureSchema,
  }),
  delegation: delegationSchema.optional(),
})

export const delegationDocumentSchema = z.strictObject({
  v: z.literal(1),
  kind: z.literal('delegation'),
  delegation: delegationSchema,
})

/** Whether a revocation is signed by who may revoke. That a delegate invited the member is the roster's business. */
export function revocationFault(
  { revocation, delegation }: RevocationDocument,
  network: string,
): string | undefined {
  if (revocation.network !== network) return 'is of another network'
  if (!isSignedBy(revocation.by, 'revocation', revocation)) return 'was altered'
  if (revocation.by === network) return undefined
  if (delegation === undefined || delegation.member !== revocation.by) {
    return 'is signed by somebody who may not revoke'
  }
  return delegationFault(delegation, network)
}
