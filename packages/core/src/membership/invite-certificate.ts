import { z } from 'zod'
import { LIMITS } from '../limits.ts'
import { peerIdSchema } from '../wire/job-claim.ts'
import { type Delegation, delegationFault, delegationSchema, timeSchema } from './delegation.ts'
import { covers, type MemberRole, memberRoleSchema } from './member-role.ts'
import { isSignedBy, type Signed, signatureSchema } from './signed-document.ts'

/** What an invite says: whoever has its private key may become a member. */
export interface InviteCertificate {
  v: 1
  network: string
  /** Public key of the invite, written as a peer id: its id as well. */
  invite: string
  role: MemberRole
  /** Until when one can join with it, ms since 1970. Membership itself does not expire. */
  expires: number
  /** How many members may join with it. */
  uses: number
  /** Who signed it: the network's own key, or a member with a delegation. */
  inviter: string
}

/** A certificate with what shows that its inviter may invite. */
export interface CertifiedInvite {
  certificate: Signed<InviteCertificate>
  /** Of the inviter, when that is not the owner. */
  delegation?: Signed<Delegation>
}

export const inviteCertificateSchema: z.ZodType<Signed<InviteCertificate>> = z.strictObject({
  v: z.literal(1),
  network: peerIdSchema,
  invite: peerIdSchema,
  role: memberRoleSchema,
  expires: timeSchema,
  uses: z.number().int().positive().max(LIMITS.networkMembers),
  inviter: peerIdSchema,
  signature: signatureSchema,
})

export const certifiedInviteShape = {
  certificate: inviteCertificateSchema,
  delegation: delegationSchema.optional(),
}

/** Why an invite does not count, in words that follow "the invite"; undefined when it does. Without its expiry. */
export function inviteFault(
  { certificate, delegation }: CertifiedInvite,
  network: string,
): string | undefined {
  if (certificate.network !== network) return 'is of another network'
  if (!isSignedBy(certificate.inviter, 'invite', certificate)) return 'was altered'
  if (certificate.inviter === network) return undefined
  if (delegation === undefined) return 'is signed by somebody who may not invite'
  const fault = delegationFault(delegation, network)
  if (fault !== undefined) return `rests on a delegation that ${fault}`
  if (delegation.member !== certificate.inviter) return 'rests on the delegation of somebody else'
  if (!covers(delegation.roles, certificate.role)) return 'gives a role that its inviter may not'
  return certificate.expires > delegation.expires ? 'outlives the delegation' : undefined
}
