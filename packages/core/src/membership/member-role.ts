import { z } from 'zod'

/** What a member may do: lend computers, borrow them, or both. */
export type MemberRole = 'host' | 'client' | 'both'

export const memberRoleSchema = z.enum(['host', 'client', 'both'])

/** Whether a role is enough where another one is needed. */
export function covers(role: MemberRole, needed: MemberRole): boolean {
  return role === 'both' || role === needed
}
