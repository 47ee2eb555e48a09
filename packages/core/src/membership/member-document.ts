import { z } from 'zod'
import { LIMITS } from '../limits.ts'
import { peerIdSchema } from '../wire/job-claim.ts'
import { timeSchema } from './delegation.ts'
import { type CertifiedInvite, certifiedInviteShape, inviteFault } from './invite-certificate.ts'
import { isSignedBy, type Signed, signatureSchema } from './signed-document.ts'

/** The word of an invite's key that a member joins with it. */
export interface Claim {
  v: 1
  network: string
  invite: string
  /** Public key of the new member, written as a peer id. */
  member: string
  /** What people call its computer. It proves nothing. */
  label: string
}

/** The word of a member that it has seen the claim while the invite was good. */
export interface Admission {
  v: 1
  network: string
  invite: string
  member: string
  /** By the clock of the witness, ms since 1970. */
  at: number
  /** Key of the witness: a member's, or the network's own. */
  witness: string
}

/** What somebody shows who wants to become a member. */
export interface JoinRequest extends CertifiedInvite {
  claim: Signed<Claim>
}

/** What shows for ever after that somebody is a member. */
export interface MemberDocument extends JoinRequest {
  v: 1
  kind: 'member'
  admission: Signed<Admission>
}

export const claimSchema: z.ZodType<Signed<Claim>> = z.strictObject({
  v: z.literal(1),
  network: peerIdSchema,
  invite: peerIdSchema,
  member: peerIdSchema,
  label: z.string().max(LIMITS.memberLabelCharacters),
  signature: signatureSchema,
})

const admissionSchema: z.ZodType<Signed<Admission>> = z.strictObject({
  v: z.literal(1),
  network: peerIdSchema,
  invite: peerIdSchema,
  member: peerIdSchema,
  at: timeSchema,
  witness: peerIdSchema,
  signature: signatureSchema,
})

export const joinRequestSchema: z.ZodType<JoinRequest> = z.strictObject({
  ...certifiedInviteShape,
  claim: claimSchema,
})

export const memberDocumentSchema = z.strictObject({
  v: z.literal(1),
  kind: z.literal('member'),
  ...certifiedInviteShape,
  claim: claimSchema,
  admission: admissionSchema,
})

/** Why a request does not count, in words that follow "the invite"; undefined when it does. Without its expiry. */
export function requestFault(request: JoinRequest, network: string): string | undefined {
  const { certificate, claim } = request
  const fault = inviteFault(request, network)
  if (fault !== undefined) return fault
  if (claim.network !== network || claim.invite !== certificate.invite) return 'is another one'
  return isSignedBy(certificate.invite, 'claim', claim) ? undefined : 'was altered'
}

/**
 * Whether all signatures of a member's document are there and belong together. Who the witness is, and what
 * became of the member since, is the roster's business.
 */
export function memberFault(document: MemberDocument, network: string): string | undefined {
  const { certificate, claim, admission } = document
  const fault = requestFault(document, network)
  if (fault !== undefined) return fault
  const same =
    admission.network === network &&
    admission.invite === certificate.invite &&
    admission.member === claim.member
  if (!same || !isSignedBy(admission.witness, 'admission', admission)) return 'was altered'
  return admission.at > certificate.expires ? 'had expired when it was used' : undefined
}
