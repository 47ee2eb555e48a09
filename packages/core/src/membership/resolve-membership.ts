import { join } from 'node:path'
import type { StateDirectory } from '../durable/state-directory.ts'
import { ManyhandsError } from '../errors.ts'
import type { Membership } from './membership.ts'
import { findMembership, joinPrivateNetwork } from './private-network.ts'

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
  const directory = state.persistent ? join(state.dir, 'network') : undefined
  if (invite !== undefined) {
    return await joinPrivateNetwork({ invite, ...(directory === undefined ? {} : { directory }) })
  }
  return directory === undefined ? undefined : await findMembership(directory)
}
