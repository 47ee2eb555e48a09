import { z } from 'zod'
import { peerIdSchema } from '../wire/job-claim.ts'
import { type MemberRole, memberRoleSchema } from './member-role.ts'
import { isSignedBy, type Signed, signatureSchema } from './signed-document.ts'

/** The owner's word that a member may invite others. */
export interface Delegation {
  v: 1
  /** Public key of the network, written as a peer id. */
  network: string
  /** Key of the member that may invite. */
  member: string
  /** What those that it invites may be. */
  roles: MemberRole
  /** Until when its invites can be good, ms since 1970. */
  expires: number
}

export const timeSchema = z.number().int().nonnegative()

export const delegationSchema: z.ZodType<Signed<Delegation>> = z.strictObject({
  v: z.literal(1),
  network: peerIdSchema,
  member: peerIdSchema,
  roles: memberRoleSchema,
  expires: timeSchema,
  signature: signatureSchema,
})

/** Why a delegation does not count, in words that follow "the delegation"; undefined when it does. */
export function delegationFault(
  delegation: Signed<Delegation>,
  network: string,
): string | undefined {
  if (delegation.network !== network) return 'is of another network'
  return isSignedBy(network, 'delegation', delegation) ? undefined : 'was altered'
}
