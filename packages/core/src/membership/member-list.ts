import { ManyhandsError } from '../errors.ts'
import type { Delegation } from './delegation.ts'
import type { MemberDocument } from './member-document.ts'
import type { NetworkMember } from './membership.ts'
import type { MembershipFacts } from './membership-facts.ts'
import { standingFault } from './refusal.ts'
import type { Signed } from './signed-document.ts'

/** Everybody who is a member or was one, in the order in which they joined. */
export function listMembers(facts: MembershipFacts): NetworkMember[] {
  const documents = documentsOf(facts)
  return facts.roster
    .members()
    .flatMap(([member, standing]) => {
      const document = standing.state === 'member' ? standing.document : documents.get(member)
      return document === undefined ? [] : [describe(facts, member, document)]
    })
    .sort((one, other) => one.joinedAt - other.joinedAt)
}

/**
 * The member that a key, or a peer that was seen, belongs to.
 *
 * @throws NOT_FOUND
 */
export function findMember(facts: MembershipFacts, given: string): NetworkMember {
  const members = listMembers(facts)
  const found =
    members.find(({ member }) => member === given) ??
    members.find(({ peers }) => peers.includes(given))
  if (found !== undefined) return found
  throw new ManyhandsError('NOT_FOUND', `${given} is no member of network ${facts.identity.name}`, {
    hint: 'Give the key of a member, or a peer of it that was seen: list the members first.',
  })
}

/** The delegation of a member that holds longest. */
export function delegationTo(
  { roster }: MembershipFacts,
  member: string,
): Signed<Delegation> | undefined {
  return roster
    .documents()
    .flatMap(({ document }) => (document.kind === 'delegation' ? [document.delegation] : []))
    .filter((delegation) => delegation.member === member)
    .toArray()
    .sort((one, other) => other.expires - one.expires)[0]
}

function describe(
  facts: MembershipFacts,
  member: string,
  { certificate, claim, admission }: MemberDocument,
): NetworkMember {
  const { network, roster, met } = facts
  const standing = roster.standing(member)
  const fault = standingFault(standing, network)
  const mayInvite = fault === undefined ? delegationTo(facts, member)?.expires : undefined
  return {
    member,
    role: certificate.role,
    state: fault === undefined ? 'member' : standing.state === 'revoked' ? 'revoked' : 'refused',
    label: claim.label,
    invitedBy: certificate.inviter === network ? 'owner' : certificate.inviter,
    joinedAt: admission.at,
    peers: met.bindings.filter((binding) => binding.member === member).map(({ peer }) => peer),
    self: member === facts.member,
    ...(mayInvite === undefined ? {} : { mayInviteUntil: mayInvite }),
    ...(fault === undefined ? {} : { reason: fault.message }),
  }
}

function documentsOf({ roster }: MembershipFacts): Map<string, MemberDocument> {
  return new Map(
    roster.documents().flatMap(({ document }): [string, MemberDocument][] => {
      return document.kind === 'member' ? [[document.claim.member, document]] : []
    }),
  )
}
