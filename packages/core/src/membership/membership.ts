import type { Duration } from '../duration.ts'
import type { MemberRole } from './member-role.ts'

/**
 * Membership in a private network: what this computer shows to other members, and what it knows of them.
 * One membership serves a host and clients of one computer alike, at once too.
 *
 * Events: `'change'` when somebody has joined, was revoked or may invite now, this computer included.
 *
 * @example
 * const membership = await createPrivateNetwork({ directory: './lab', name: 'lab' })
 * const invite = await membership.invite({ role: 'host', addresses: host.addresses })
 */
export interface Membership extends EventTarget {
  /** Public key of the network, written as a peer id: its identity everywhere. */
  readonly network: string
  /** What people call the network. */
  readonly name: string
  /** Key of this computer as a member, written as a peer id. */
  readonly member: string
  readonly role: MemberRole
  /**
   * `joining` until a member has admitted this computer, and again when that one is no longer trusted;
   * `refused` when the invite was used up by others.
   */
  readonly state: 'joining' | 'member' | 'revoked' | 'refused'
  /** Why it is no member any more, for people. */
  readonly reason: string | undefined
  /** Whether the owner's key is here. */
  readonly owner: boolean
  /** Where members were reached, and what the invite says; the latest ones first. */
  readonly addresses: readonly string[]

  /** Everybody who is a member or was one. */
  members(): NetworkMember[]
  /**
   * Makes an invite: one word, for whoever gets it.
   *
   * @throws UNAUTHORIZED without the owner's key or a delegation, saying what still works; NOT_A_MEMBER,
   *   SPEC_INVALID, ADDRESS_INVALID
   */
  invite(options?: InviteOptions): Promise<string>
  /**
   * Lets a member invite others, and revoke those that it has invited.
   *
   * @param member - key of the member, or a peer of it that was seen
   * @throws UNAUTHORIZED without the owner's key, NOT_FOUND
   */
  delegate(member: string, options?: DelegateOptions): Promise<NetworkMember>
  /**
   * Ends a membership: durable when this resolves, told to all members that are connected, and by them to
   * theirs. Connections are cut, work is ended.
   *
   * @param member - key of the member, or a peer of it that was seen
   * @throws UNAUTHORIZED without the owner's key for whom this computer has not invited, NOT_FOUND
   */
  revoke(member: string, options?: { reason?: string }): Promise<NetworkMember>
}

export interface InviteOptions {
  /** Default `both`. */
  role?: MemberRole
  /** How long one can join with it; default 7 days. Membership itself does not expire. */
  expires?: Duration
  /** How many computers may join with it; default 1. */
  uses?: number
  /** Where members can be reached; without any, the network is looked for on the LAN. */
  addresses?: readonly string[]
}

export interface DelegateOptions {
  /** What those that it invites may be; default `both`. */
  role?: MemberRole
  /** For how long; default 365 days. */
  expires?: Duration
}

/** A member as it is known here. */
export interface NetworkMember {
  /** Key of the member, written as a peer id. */
  member: string
  role: MemberRole
  state: 'member' | 'revoked' | 'refused'
  /** What people call its computer. It proves nothing. */
  label: string
  /** `owner`, or the key of the member that invited it. */
  invitedBy: string
  /** Ms since 1970, by the clock of who admitted it. */
  joinedAt: number
  /** Peers of it that were seen, the latest ones first. */
  peers: string[]
  /** Whether it is this computer. */
  self: boolean
  /** Until when it may invite others, ms since 1970. */
  mayInviteUntil?: number
  /** Why it is no member any more. */
  reason?: string
}
