import type { MemberDocument } from './member-document.ts'
import type { MemberRole } from './member-role.ts'
import type { RevocationDocument } from './revocation.ts'
import type { FiledDocument, RosterDocument } from './roster-document.ts'

/** What somebody is to a network. */
export type Standing =
  | { state: 'member'; role: MemberRole; document: MemberDocument }
  /** Was a member; `by` is a member's key, or the network's. */
  | { state: 'revoked'; at: number; by: string; reason: string }
  /** Others have used the invite up before. */
  | { state: 'displaced' }
  /** What it shows rests on somebody who was revoked. */
  | { state: 'void' }
  | { state: 'unknown' }

export const UNKNOWN: Standing = { state: 'unknown' }

interface Filed<Document extends RosterDocument> extends FiledDocument {
  document: Document
}

export interface Standings {
  /** By the member's key. */
  members: Map<string, Standing>
  /** Everybody whose word as a witness leads to the owner, whatever became of them. */
  rooted: Set<string>
}

/** The order that decides who was first; the name of a document decides where clocks do not. */
export function inOrder(one: Filed<MemberDocument>, other: Filed<MemberDocument>): number {
  const difference = one.document.admission.at - other.document.admission.at
  return difference === 0 ? (one.id < other.id ? -1 : 1) : difference
}

/**
 * Who is what, of all documents. It does not matter in which order they came: all members that have the same
 * ones agree.
 */
export function standingsOf(network: string, documents: Iterable<FiledDocument>): Standings {
  const joined: Filed<MemberDocument>[] = []
  const revocations: Filed<RevocationDocument>[] = []
  for (const filed of documents) {
    if (filed.document.kind === 'member') joined.push(filed as Filed<MemberDocument>)
    if (filed.document.kind === 'revocation') revocations.push(filed as Filed<RevocationDocument>)
  }
  const revoked = effective(network, joined, revocations)
  /** Whether something that rests on a member stays good. */
  const stays = (member: string, id: string): boolean =>
    revoked.get(member)?.every(({ revocation }) => revocation.keeps.includes(id)) ?? true

  const { good, rooted } = resting(network, joined, stays)
  const members = new Map<string, Standing>()
  for (const { document } of joined) members.set(document.claim.member, { state: 'void' })
  for (const uses of group(good, ({ document }) => document.certificate.invite).values()) {
    const users = new Set<string>()
    for (const { document } of uses.sort(inOrder)) {
      const { member } = document.claim
      if (!users.has(member) && users.size >= document.certificate.uses) {
        if (members.get(member)?.state !== 'member') members.set(member, { state: 'displaced' })
        continue
      }
      if (!users.has(member)) {
        members.set(member, { state: 'member', role: document.certificate.role, document })
      }
      users.add(member)
    }
  }
  for (const [member, [first]] of revoked) {
    if (first === undefined) continue
    const { at, by, reason } = first.revocation
    members.set(member, { state: 'revoked', at, by, reason })
  }
  return { members, rooted }
}

/** Revocations that hold, by whom they concern. */
function effective(
  network: string,
  joined: Filed<MemberDocument>[],
  revocations: Filed<RevocationDocument>[],
): Map<string, RevocationDocument[]> {
  const holding = new Map<string, RevocationDocument[]>()
  const add = ({ document }: Filed<RevocationDocument>): void => {
    const { member } = document.revocation
    holding.set(member, [...(holding.get(member) ?? []), document])
  }
  const [owners, delegates] = partition(
    revocations,
    (one) => one.document.revocation.by === network,
  )
  owners.sort((one, other) => (one.id < other.id ? -1 : 1)).forEach(add)
  const ownersWord = new Map(holding)
  for (const one of delegates.sort((a, b) => (a.id < b.id ? -1 : 1))) {
    const { by, member } = one.document.revocation
    const stays = ownersWord.get(by)?.every(({ revocation }) => revocation.keeps.includes(one.id))
    const invited = joined.some(
      ({ document }) => document.claim.member === member && document.certificate.inviter === by,
    )
    if (invited && stays !== false) add(one)
  }
  return holding
}

/** The documents whose witness leads to the owner, without those that rest on somebody who was revoked. */
function resting(
  network: string,
  joined: Filed<MemberDocument>[],
  stays: (member: string, id: string) => boolean,
): { good: Filed<MemberDocument>[]; rooted: Set<string> } {
  const byWitness = group(joined, ({ document }) => document.admission.witness)
  const good: Filed<MemberDocument>[] = []
  const rooted = new Set([network])
  // A set is walked to its end, with what is added on the way.
  for (const witness of rooted) {
    for (const filed of byWitness.get(witness) ?? []) {
      const { certificate, claim } = filed.document
      if (!stays(witness, filed.id) || !stays(certificate.inviter, filed.id)) continue
      good.push(filed)
      rooted.add(claim.member)
    }
  }
  return { good, rooted }
}

function group<Item>(items: Item[], keyOf: (item: Item) => string): Map<string, Item[]> {
  const groups = new Map<string, Item[]>()
  for (const item of items) {
    const key = keyOf(item)
    const members = groups.get(key)
    if (members === undefined) groups.set(key, [item])
    else members.push(item)
  }
  return groups
}

function partition<Item>(items: Item[], fits: (item: Item) => boolean): [Item[], Item[]] {
  return [items.filter(fits), items.filter((item) => !fits(item))]
}
