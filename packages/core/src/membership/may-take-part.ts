import { ManyhandsError } from '../errors.ts'
import type { Network } from '../network/network.ts'
import { covers } from './member-role.ts'
import type { Membership } from './membership.ts'

/** @throws ROLE_DENIED when a member may not lend, NOT_A_MEMBER when it is none any more */
export function throwUnlessLender(membership: Membership | undefined): void {
  throwUnless(membership, 'host', 'lend')
}

/** @throws ROLE_DENIED when this computer may not borrow, NOT_A_MEMBER when it is no member any more */
export function throwUnlessBorrower({ membership }: Pick<Network, 'membership'>): void {
  throwUnless(membership, 'client', 'borrow')
}

function throwUnless(
  membership: Membership | undefined,
  role: 'host' | 'client',
  act: string,
): void {
  if (membership === undefined) return
  const { name, state, reason } = membership
  if (state === 'revoked' || state === 'refused') {
    throw new ManyhandsError('NOT_A_MEMBER', `this computer is no member of ${name}: ${reason}`)
  }
  if (covers(membership.role, role)) return
  throw new ManyhandsError(
    'ROLE_DENIED',
    `this computer may not ${act} in network ${name}: it was invited as ${membership.role} only`,
  )
}
