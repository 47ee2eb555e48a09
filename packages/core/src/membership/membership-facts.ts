import type { MembershipIdentity } from './membership-identity.ts'
import type { MetMembers } from './met-members.ts'
import type { Roster } from './roster.ts'

/** What a membership consists of. */
export interface MembershipFacts {
  /** Public key of the network. */
  network: string
  /** Public key of this computer as a member. */
  member: string
  identity: MembershipIdentity
  ownerSeed: Uint8Array | undefined
  roster: Roster
  met: MetMembers
}
