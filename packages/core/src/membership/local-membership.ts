import { ManyhandsError } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import { type JoinRequest, type MemberDocument, requestFault } from './member-document.ts'
import { findMember, listMembers } from './member-list.ts'
import type { MemberRole } from './member-role.ts'
import type { DelegateOptions, InviteOptions, Membership, NetworkMember } from './membership.ts'
import type { MembershipFacts } from './membership-facts.ts'
import type { MetMembers } from './met-members.ts'
import { writeDelegation, writeInvite, writeRevocation } from './owner-acts.ts'
import type { PeerBinding } from './peer-binding.ts'
import { expired, standingFault } from './refusal.ts'
import type { Roster } from './roster.ts'
import { documentId, type FiledDocument, fileDocument, readDocument } from './roster-document.ts'
import type { RosterShelf } from './roster-shelf.ts'
import type { Standing } from './roster-standing.ts'
import { type Signed, signDocument } from './signed-document.ts'

/** Documents that are new here, and the peer that told them. */
export interface RosterNews {
  documents: FiledDocument[]
  from: string | undefined
}

/**
 * {@link Membership}, with what the connections need of it.
 *
 * Events beside those of the interface: `'documents'`, `CustomEvent<RosterNews>`.
 */
export class LocalMembership extends EventTarget implements Membership {
  readonly network: string
  readonly member: string
  readonly #facts: MembershipFacts
  readonly #shelf: RosterShelf
  #turn: Promise<unknown> = Promise.resolve()

  constructor(facts: MembershipFacts, shelf: RosterShelf) {
    super()
    this.#facts = facts
    this.#shelf = shelf
    this.network = facts.network
    this.member = facts.member
  }

  get roster(): Roster {
    return this.#facts.roster
  }

  get met(): MetMembers {
    return this.#facts.met
  }

  /** Known to all members. */
  get secret(): Uint8Array {
    return this.#facts.identity.secret
  }

  get name(): string {
    return this.#facts.identity.name
  }

  get role(): MemberRole {
    return this.request.certificate.role
  }

  get request(): JoinRequest {
    return this.#facts.identity.request
  }

  get owner(): boolean {
    return this.#facts.ownerSeed !== undefined
  }

  get addresses(): readonly string[] {
    const { met, identity } = this.#facts
    return [...new Set([...met.addresses, ...identity.addresses])]
  }

  get state(): Membership['state'] {
    switch (this.standing(this.member).state) {
      case 'member':
        return 'member'
      case 'unknown':
      // Who admitted it is no longer trusted: somebody else may do it again.
      case 'void':
        return 'joining'
      case 'revoked':
        return 'revoked'
      default:
        return 'refused'
    }
  }

  get reason(): string | undefined {
    if (this.state === 'joining') return undefined
    return standingFault(this.standing(this.member), this.network)?.message
  }

  /** @throws NOT_A_MEMBER, INVITE_INVALID when this computer is no member any more */
  throwIfEnded(): void {
    const standing = this.standing(this.member)
    if (standing.state === 'unknown' || standing.state === 'void') return
    const fault = standingFault(standing, this.network)
    if (fault === undefined) return
    throw new ManyhandsError(fault.code, `this computer in network ${this.name}: ${fault.message}`)
  }

  standing(member: string): Standing {
    return this.#facts.roster.standing(member)
  }

  /** What this computer shows; undefined while nobody has admitted it. */
  get document(): MemberDocument | undefined {
    const standing = this.standing(this.member)
    return standing.state === 'member' ? standing.document : undefined
  }

  bind(peer: string): Signed<PeerBinding> {
    const { network, member } = this
    return signDocument('binding', { v: 1, network, peer, member }, this.#facts.identity.seed)
  }

  members(): NetworkMember[] {
    return listMembers(this.#facts)
  }

  async invite(options: InviteOptions = {}): Promise<string> {
    this.throwIfEnded()
    return await writeInvite(this.#facts, options)
  }

  async delegate(member: string, options: DelegateOptions = {}): Promise<NetworkMember> {
    await this.takeFiled([writeDelegation(this.#facts, member, options)])
    return findMember(this.#facts, member)
  }

  async revoke(member: string, options: { reason?: string } = {}): Promise<NetworkMember> {
    if (!this.owner) this.throwIfEnded()
    await this.takeFiled([writeRevocation(this.#facts, member, options)])
    return findMember(this.#facts, member)
  }

  /**
   * Admits somebody with an invite, as a witness. The same member is admitted once.
   *
   * @throws INVITE_INVALID, NOT_A_MEMBER saying why; LIMIT
   */
  admit(request: JoinRequest): Promise<MemberDocument> {
    return this.#inTurn(async () => {
      const known = this.standing(request.claim.member)
      if (known.state === 'member') return known.document
      this.#checkRequest(request)
      const { network, member } = this
      const { invite } = request.certificate
      const at = Date.now()
      const admission = signDocument(
        'admission',
        { v: 1, network, invite, member: request.claim.member, at, witness: member },
        this.#facts.identity.seed,
      )
      const document: MemberDocument = { v: 1, kind: 'member', ...request, admission }
      await this.#keep([fileDocument(document)], undefined)
      return document
    })
  }

  /**
   * Takes what others say, in whatever order it came. What nothing here leads to is left out.
   *
   * @throws PROTOCOL for what is malformed or not properly signed; then nothing was taken
   */
  async take(texts: readonly Uint8Array[], from?: string): Promise<void> {
    const news = texts.filter((bytes) => !this.roster.has(documentId(bytes)))
    if (news.length === 0) return
    const documents = news.map((bytes) => readDocument(bytes, this.network))
    await this.takeFiled(documents, from)
  }

  takeFiled(documents: readonly FiledDocument[], from?: string): Promise<void> {
    return this.#inTurn(() => this.#keep(documents, from))
  }

  /** Reads what other processes with the same directory have written. */
  async refresh(): Promise<void> {
    const texts = await this.#shelf.unread()
    if (texts.length === 0) return
    const documents = texts.flatMap((bytes) => {
      try {
        return [readDocument(bytes, this.network)]
      } catch {
        // Damaged on the disk: others will tell it again.
        return []
      }
    })
    await this.takeFiled(documents)
  }

  /** What a member has joined with, as far as that is known here. */
  requestOf(member: string): JoinRequest | undefined {
    const document = this.roster.documentOf(member)
    if (document === undefined) return undefined
    const { certificate, delegation, claim } = document
    return { certificate, ...(delegation === undefined ? {} : { delegation }), claim }
  }

  /** Whether there is a document of this network about a member among those that it shows. */
  hasShown(
    member: string,
    chain: readonly Uint8Array[],
    request: JoinRequest | undefined,
  ): boolean {
    if (request !== undefined) {
      return request.claim.member === member && requestFault(request, this.network) === undefined
    }
    const last = chain.at(-1)
    if (last === undefined) return false
    try {
      const { document } = readDocument(last, this.network)
      return document.kind === 'member' && document.claim.member === member
    } catch {
      return false
    }
  }

  /** Writes what may wait. */
  async settle(): Promise<void> {
    await this.#turn
    await this.#facts.met.write().catch(() => {})
  }

  #checkRequest(request: JoinRequest): void {
    const { certificate, claim } = request
    const fault = requestFault(request, this.network)
    if (fault !== undefined) throw inviteInvalid(fault, 'altered')
    const known = this.standing(claim.member)
    if (known.state === 'revoked') throw standingFault(known, this.network)!
    if (this.standing(certificate.inviter).state === 'revoked') {
      throw inviteInvalid('is of a member that was revoked', 'revoked')
    }
    const now = Date.now()
    if (now > certificate.expires) throw expired(certificate.expires, now)
    const users = this.#facts.roster.usersOf(certificate.invite)
    if (users.length >= certificate.uses) {
      const times = certificate.uses === 1 ? 'by another member' : `by ${users.length} members`
      throw inviteInvalid(`was used already ${times}`, 'replayed')
    }
    if (this.#facts.roster.size >= LIMITS.networkMembers) {
      throw new ManyhandsError('LIMIT', `network ${this.name} is full`)
    }
  }

  /** Durable first, then it counts, then others hear of it. */
  async #keep(documents: readonly FiledDocument[], from: string | undefined): Promise<void> {
    const { roster } = this.#facts
    const taken: FiledDocument[] = []
    let waiting = [...documents]
    for (let progress = true; progress; ) {
      progress = false
      const later: FiledDocument[] = []
      for (const filed of waiting) {
        const wanted = isWanted(roster, filed)
        if (wanted === 'later') later.push(filed)
        if (wanted !== true) continue
        await this.#shelf.save(filed)
        roster.take(filed)
        taken.push(filed)
        progress = true
      }
      waiting = later
    }
    if (taken.length === 0) return
    const news: RosterNews = { documents: taken, from }
    this.dispatchEvent(new CustomEvent('documents', { detail: news }))
    this.dispatchEvent(new Event('change'))
  }

  #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const result = this.#turn.then(work)
    this.#turn = result.catch(() => {})
    return result
  }
}

function isWanted(roster: Roster, filed: FiledDocument): boolean | 'later' {
  try {
    return roster.wants(filed)
  } catch (error) {
    if ((error as ManyhandsError).code === 'NOT_A_MEMBER') return 'later'
    return false
  }
}

function inviteInvalid(why: string, reason: string): ManyhandsError {
  return new ManyhandsError('INVITE_INVALID', `the invite ${why}`, { details: { reason } })
}
