import { hash } from 'node:crypto'
import { ManyhandsError } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import type { MemberDocument } from './member-document.ts'
import type { FiledDocument } from './roster-document.ts'
import { inOrder, type Standing, type Standings, standingsOf, UNKNOWN } from './roster-standing.ts'

/** Uses of an invite beyond what it is good for that are remembered, so that all agree on who was first. */
const USES_BEYOND = 8

type JoinedDocument = FiledDocument & { document: MemberDocument }

/** Who is a member of one network, as far as is known here: signed documents, and what follows from them. */
export class Roster {
  readonly network: string
  readonly #documents = new Map<string, FiledDocument>()
  #standings: Standings | undefined
  #digest: string | undefined

  constructor(network: string) {
    this.network = network
  }

  get size(): number {
    return this.#documents.size
  }

  /** The same for all that have the same documents. */
  get digest(): string {
    this.#digest ??= hash('sha256', this.ids().join(), 'hex').slice(0, 32)
    return this.#digest
  }

  ids(): string[] {
    return [...this.#documents.keys()].sort()
  }

  has(id: string): boolean {
    return this.#documents.has(id)
  }

  get(id: string): FiledDocument | undefined {
    return this.#documents.get(id)
  }

  documents(): IteratorObject<FiledDocument> {
    return this.#documents.values()
  }

  /**
   * Whether a document is news that can be taken.
   *
   * @throws LIMIT when the roster is full; NOT_A_MEMBER when nothing here leads from its witness to the owner
   */
  wants({ id, document }: FiledDocument): boolean {
    if (this.#documents.has(id)) return false
    if (this.#documents.size >= 3 * LIMITS.networkMembers) {
      throw new ManyhandsError('LIMIT', `the network has ${this.#documents.size} documents already`)
    }
    if (document.kind !== 'member') return true
    const { admission, certificate } = document
    if (!this.#now.rooted.has(admission.witness)) {
      throw new ManyhandsError('NOT_A_MEMBER', 'it was admitted by somebody who is not known here')
    }
    const uses = this.#usesOf(certificate.invite)
    if (uses.length < certificate.uses + USES_BEYOND) return true
    return inOrder({ id, bytes: new Uint8Array(), document }, uses.at(-1)!) < 0
  }

  /** Takes what is wanted; it is durable already. */
  take(filed: FiledDocument): void {
    this.#documents.set(filed.id, filed)
    this.#standings = undefined
    this.#digest = undefined
    if (filed.document.kind !== 'member') return
    const { certificate } = filed.document
    for (const { id } of this.#usesOf(certificate.invite).slice(certificate.uses + USES_BEYOND)) {
      this.#documents.delete(id)
    }
  }

  standing(member: string): Standing {
    return this.#now.members.get(member) ?? UNKNOWN
  }

  members(): [string, Standing][] {
    return [...this.#now.members]
  }

  /** Members that have used an invite, the first one first. */
  usersOf(invite: string): string[] {
    const users = this.#usesOf(invite).map(({ document }) => document.claim.member)
    return [...new Set(users)].filter((member) => this.standing(member).state !== 'void')
  }

  /** Some document of a member, whatever became of it. */
  documentOf(member: string): MemberDocument | undefined {
    return this.#joined()
      .map(({ document }) => document)
      .find(({ claim }) => claim.member === member)
  }

  /** What shows that somebody is no member: its revocations, or who was before it, or who it rests on. */
  evidenceAgainst(member: string): FiledDocument[] {
    const own = this.documentOf(member)
    const { state } = this.standing(member)
    if (state === 'revoked' || own === undefined) return this.#revocationsOf([member])
    const { certificate, admission } = own
    if (state === 'void') return this.#revocationsOf([admission.witness, certificate.inviter])
    return this.#usesOf(certificate.invite).flatMap(({ document }) =>
      this.chainOf(document.claim.member),
    )
  }

  /** What a newcomer needs to believe a member: its document, before it that of its witness, and so on. */
  chainOf(member: string): FiledDocument[] {
    const chain: FiledDocument[] = []
    const seen = new Set<string>([this.network])
    for (let next = member; !seen.has(next); ) {
      seen.add(next)
      const link = this.#joined().find(({ document: { claim, admission } }) => {
        return claim.member === next && this.#now.rooted.has(admission.witness)
      })
      if (link === undefined) break
      chain.unshift(link)
      next = link.document.admission.witness
    }
    return chain
  }

  /** What stays good of what rests on a member, when it is revoked now. */
  restingOn(member: string): string[] {
    return this.documents()
      .filter(({ document }) => {
        if (document.kind === 'revocation') return document.revocation.by === member
        if (document.kind !== 'member' || document.claim.member === member) return false
        const { certificate, admission, claim } = document
        const rests = certificate.inviter === member || admission.witness === member
        return rests && this.standing(claim.member).state !== 'void'
      })
      .map(({ id }) => id)
      .toArray()
  }

  get #now(): Standings {
    this.#standings ??= standingsOf(this.network, this.#documents.values())
    return this.#standings
  }

  #revocationsOf(members: string[]): FiledDocument[] {
    return this.documents()
      .filter(({ document }) => {
        return document.kind === 'revocation' && members.includes(document.revocation.member)
      })
      .toArray()
  }

  #usesOf(invite: string): JoinedDocument[] {
    return this.#joined()
      .filter(({ document }) => document.certificate.invite === invite)
      .toArray()
      .sort(inOrder)
  }

  #joined(): IteratorObject<JoinedDocument> {
    return this.documents().filter((filed): filed is JoinedDocument => {
      return filed.document.kind === 'member'
    })
  }
}
