import { createIdentity } from '@manyhands/core'
import type { Delegation } from '../../src/membership/delegation.ts'
import type { InviteCertificate } from '../../src/membership/invite-certificate.ts'
import type { MemberDocument } from '../../src/membership/member-document.ts'
import type { DelegationDocument, RevocationDocument } from '../../src/membership/revocation.ts'
import { type Signed, signDocument } from '../../src/membership/signed-document.ts'

export const seedOf = (n: number): Uint8Array => new Uint8Array(32).fill(n)
export const keyOf = (n: number): string => createIdentity(seedOf(n)).peerId

/** The network's own key. */
export const NETWORK = 1
export const network = keyOf(NETWORK)

export interface MadeMember {
  /** Keys, by the byte that their seeds are of. */
  member: number
  invite: number
  witness?: number
  inviter?: number
  at?: number
  certificate?: Partial<InviteCertificate>
  delegation?: Signed<Delegation>
}

/** The document of a member, signed by whoever it names, whether that is right or not. */
export function memberDocument(made: MadeMember): MemberDocument {
  const { member, invite, witness = NETWORK, inviter = NETWORK, at = 1000, delegation } = made
  const certificate = signDocument(
    'invite',
    {
      ...{ v: 1, network, invite: keyOf(invite), role: 'both', expires: 2000, uses: 1 },
      inviter: keyOf(inviter),
      ...made.certificate,
    } as InviteCertificate,
    seedOf(inviter),
  )
  const of = { v: 1, network, invite: keyOf(invite), member: keyOf(member) } as const
  return {
    v: 1,
    kind: 'member',
    certificate,
    ...(delegation === undefined ? {} : { delegation }),
    claim: signDocument('claim', { ...of, label: `computer ${member}` }, seedOf(invite)),
    admission: signDocument('admission', { ...of, at, witness: keyOf(witness) }, seedOf(witness)),
  }
}

export function delegationFor(
  member: number,
  change: Partial<Delegation> = {},
): Signed<Delegation> {
  const delegation = { v: 1, network, member: keyOf(member), roles: 'both', expires: 5000 } as const
  return signDocument('delegation', { ...delegation, ...change }, seedOf(NETWORK))
}

export const delegationDocument = (delegation: Signed<Delegation>): DelegationDocument => ({
  v: 1,
  kind: 'delegation',
  delegation,
})

export function revocationDocument(
  member: number,
  more: { by?: number; keeps?: string[]; delegation?: Signed<Delegation>; signer?: number } = {},
): RevocationDocument {
  const { by = NETWORK, keeps = [], delegation, signer = by } = more
  const revocation = { v: 1, network, member: keyOf(member), at: 1500, by: keyOf(by) } as const
  return {
    v: 1,
    kind: 'revocation',
    revocation: signDocument('revocation', { ...revocation, reason: '', keeps }, seedOf(signer)),
    ...(delegation === undefined ? {} : { delegation }),
  }
}
