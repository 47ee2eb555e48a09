import { join } from 'node:path'
import type { StateDirectory } from '../durable/state-directory.ts'
import { ManyhandsError } from '../errors.ts'
import { parseInvite } from './invite.ts'
import type { Membership } from './membership.ts'
import { findMembership, takeUpInvite } from './private-network.ts'

/** How a host or a client says which private network it belongs to. */
export interface MembershipOptions {
  /**
   * `mh1…`: joins the private network with it at the first start. With a state directory later starts are
   * of the same member, whether the invite is given again or not.
   */
  invite?: string | undefined
  /** A membership of this computer, see `joinPrivateNetwork`. */
  membership?: Membership | undefined
}

/**
 * The membership that is meant; undefined for the public network.
 *
 * @throws INVITE_INVALID; CONFIG_INVALID when the state belongs to another network
 */
export async function resolveMembership(
  { invite, membership }: MembershipOptions,
  state: Pick<StateDirectory, 'dir' | 'persistent'>,
): Promise<Membership | undefined> {
  if (membership !== undefined) {
    if (invite === undefined) return membership
    throw new ManyhandsError(
      'CONFIG_INVALID',
      'network: expected an invite or a membership, not both',
    )
  }
  if (!state.persistent) {
    return invite === undefined ? undefined : await takeUpInvite({ invite })
  }
  const directory = join(state.dir, 'network')
  const known = await findMembership(directory)
  if (invite === undefined) return known
  const { certificate } = parseInvite(invite)
  if (known === undefined) return await takeUpInvite({ invite, directory })
  if (known.network !== certificate.network) {
    throw new ManyhandsError(
      'CONFIG_INVALID',
      `the state in ${state.dir} is of a member of network ${known.name}, and the invite is for another one`,
      { hint: 'Name another state directory for the other network.' },
    )
  }
  const same = known.request.certificate.invite === certificate.invite
  const suffices = known.state === 'member' && known.role === certificate.role
  // Who was revoked, or is to be something else, begins anew with the new invite.
  return same || suffices ? known : await takeUpInvite({ invite, directory, anew: true })
}
