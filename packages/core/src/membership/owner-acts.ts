import { randomBytes } from 'node:crypto'
import { parseDuration } from '../duration.ts'
import { ManyhandsError } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import { parseAddresses } from '../network/address.ts'
import { createIdentity } from '../network/identity.ts'
import type { Delegation } from './delegation.ts'
import { formatInvite } from './invite.ts'
import { delegationTo, findMember } from './member-list.ts'
import { covers, memberRoleSchema } from './member-role.ts'
import type { DelegateOptions, InviteOptions } from './membership.ts'
import type { MembershipFacts } from './membership-facts.ts'
import { OWNER_KEY_FILE } from './membership-identity.ts'
import { type FiledDocument, fileDocument } from './roster-document.ts'
import { type Signed, signDocument } from './signed-document.ts'

const INVITE_EXPIRES = '7d'
const DELEGATION_EXPIRES = '365d'

/** Who signs: the network's own key, or a member with what lets it. */
interface Signatory {
  signer: string
  seed: Uint8Array
  delegation?: Signed<Delegation>
}

/** An invite. @throws UNAUTHORIZED, SPEC_INVALID, ADDRESS_INVALID */
export async function writeInvite(facts: MembershipFacts, options: InviteOptions): Promise<string> {
  const { network, identity } = facts
  const role = checkRole(options.role ?? 'both', 'role')
  const expires = Date.now() + parseDuration(options.expires ?? INVITE_EXPIRES, 'expires')
  const { uses = 1, addresses = [] } = options
  if (!Number.isInteger(uses) || uses < 1 || uses > LIMITS.networkMembers) {
    throw invalid('uses', `a number of 1 to ${LIMITS.networkMembers}`, uses)
  }
  if (addresses.length > LIMITS.inviteAddresses) {
    throw invalid('addresses', `at most ${LIMITS.inviteAddresses}`, addresses.length)
  }
  await parseAddresses(addresses)
  const { signer, seed, delegation } = signatory(facts, 'invite')
  if (delegation !== undefined && !covers(delegation.roles, role)) {
    throw new ManyhandsError(
      'UNAUTHORIZED',
      `this computer may invite as ${delegation.roles} alone, not as ${role}`,
      { hint: `Invite with the role ${delegation.roles}, or ask the owner.` },
    )
  }
  const inviteSeed = new Uint8Array(randomBytes(32))
  const certificate = signDocument(
    'invite',
    {
      v: 1,
      network,
      invite: createIdentity(inviteSeed).peerId,
      role,
      expires: Math.min(expires, delegation?.expires ?? expires),
      uses,
      inviter: signer,
    },
    seed,
  )
  const { name, secret } = identity
  return formatInvite({
    v: 1,
    name,
    secret,
    seed: inviteSeed,
    addresses: [...addresses],
    certificate,
    ...(delegation === undefined ? {} : { delegation }),
  })
}

/** @throws UNAUTHORIZED, NOT_FOUND, SPEC_INVALID */
export function writeDelegation(
  facts: MembershipFacts,
  given: string,
  options: DelegateOptions,
): FiledDocument {
  const roles = checkRole(options.role ?? 'both', 'role')
  const expires = Date.now() + parseDuration(options.expires ?? DELEGATION_EXPIRES, 'expires')
  const { ownerSeed, network } = facts
  if (ownerSeed === undefined) throw unauthorized(facts, 'let others invite')
  const { member } = findMember(facts, given)
  const delegation: Delegation = { v: 1, network, member, roles, expires }
  return fileDocument({
    v: 1,
    kind: 'delegation',
    delegation: signDocument('delegation', delegation, ownerSeed),
  })
}

/** @throws UNAUTHORIZED, NOT_FOUND */
export function writeRevocation(
  facts: MembershipFacts,
  given: string,
  { reason = '' }: { reason?: string },
): FiledDocument {
  const { network, roster } = facts
  const { signer, seed, delegation } = signatory(facts, 'revoke')
  const { member, invitedBy } = findMember(facts, given)
  if (signer !== network && invitedBy !== signer) {
    throw new ManyhandsError(
      'UNAUTHORIZED',
      `this computer has not invited ${member}, and has no owner key`,
      { hint: 'Ask the owner, or the member that has invited it.' },
    )
  }
  const revocation = signDocument(
    'revocation',
    {
      v: 1,
      network,
      member,
      at: Date.now(),
      by: signer,
      reason: reason.slice(0, LIMITS.revocationReasonCharacters),
      keeps: roster.restingOn(member).sort().slice(0, LIMITS.networkMembers),
    },
    seed,
  )
  return fileDocument({
    v: 1,
    kind: 'revocation',
    revocation,
    ...(delegation === undefined ? {} : { delegation }),
  })
}

function signatory(facts: MembershipFacts, act: 'invite' | 'revoke'): Signatory {
  const { network, member, ownerSeed, identity } = facts
  if (ownerSeed !== undefined) return { signer: network, seed: ownerSeed }
  const delegation = delegationTo(facts, member)
  if (delegation === undefined || delegation.expires < Date.now()) throw unauthorized(facts, act)
  return { signer: member, seed: identity.seed, delegation }
}

/** Without the key: what still works, and what does not. */
function unauthorized(facts: MembershipFacts, act: string): ManyhandsError {
  const { name } = facts.identity
  const now = Date.now()
  const delegates = facts.roster.members().flatMap(([member, { state }]) => {
    const until = state === 'member' ? (delegationTo(facts, member)?.expires ?? 0) : 0
    return until > now ? [`${member} (until ${new Date(until).toISOString().slice(0, 10)})`] : []
  })
  const who =
    delegates.length === 0 ? 'nobody else may invite' : `${delegates.join(', ')} may invite`
  return new ManyhandsError(
    'UNAUTHORIZED',
    `this computer may not ${act}: the owner key of network ${name} is not here, and it has no delegation`,
    {
      hint:
        `It is the file ${OWNER_KEY_FILE} on the computer where the network was created: do it there, or copy the file. ` +
        `If it is lost, members stay members and go on working; ${who}. ` +
        'To revoke somebody without it, create a new network and invite the others to that one.',
    },
  )
}

function checkRole<Role>(role: Role, field: string): Role {
  if (memberRoleSchema.safeParse(role).success) return role
  throw invalid(field, 'host, client or both', role)
}

function invalid(field: string, expected: string, got: unknown): ManyhandsError {
  return new ManyhandsError('SPEC_INVALID', `${field}: expected ${expected}, got ${got}`, {
    details: { field },
  })
}
