import { randomBytes } from 'node:crypto'
import { chmod, mkdir } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join, resolve } from 'node:path'
import { ManyhandsError } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import { createIdentity } from '../network/identity.ts'
import { networkNameSchema, parseInvite } from './invite.ts'
import type { CertifiedInvite } from './invite-certificate.ts'
import { LocalMembership } from './local-membership.ts'
import type { Claim, JoinRequest } from './member-document.ts'
import type { Membership } from './membership.ts'
import {
  type MembershipIdentity,
  readIdentity,
  readOwnerKey,
  writeIdentity,
  writeOwnerKey,
} from './membership-identity.ts'
import { MetMembers } from './met-members.ts'
import { Roster } from './roster.ts'
import { fileDocument } from './roster-document.ts'
import { DirectoryShelf, memoryShelf } from './roster-shelf.ts'
import { signDocument } from './signed-document.ts'

export interface PrivateNetworkOptions {
  /** What people call the network: letters, digits, spaces, `.`, `_`, `-`. */
  name: string
  /**
   * Where the membership is kept, mode 0700, and in it the owner's key, `owner.key`: keep a copy of that
   * file. Omitted: in memory.
   */
  directory?: string
  /** What people call this computer; default: its host name. */
  label?: string
}

export interface JoinOptions {
  /** `mh1…`, as a member has given it. */
  invite: string
  /** Where the membership is kept. Omitted: in memory, and an invite for one is used up by that. */
  directory?: string
  /** What people call this computer; default: its host name. */
  label?: string
}

/** The founder joins with an invite like everybody else, admitted by the owner's key itself. */
const FOUNDED_EXPIRES_MS = 60_000

/**
 * Creates a private network, with this computer as its owner and first member.
 *
 * @throws CONFIG_INVALID for the name, or when the directory holds a membership already
 * @example
 * const lab = await createPrivateNetwork({ name: 'lab', directory: './lab' })
 * console.log(await lab.invite({ role: 'host', addresses: host.addresses }))
 */
export async function createPrivateNetwork(options: PrivateNetworkOptions): Promise<Membership> {
  const name = checkName(options.name)
  const ownerSeed = seed()
  const { peerId: network } = createIdentity(ownerSeed)
  const inviteSeed = seed()
  const at = Date.now()
  const certificate = signDocument(
    'invite',
    {
      v: 1,
      network,
      invite: createIdentity(inviteSeed).peerId,
      role: 'both',
      expires: at + FOUNDED_EXPIRES_MS,
      uses: 1,
      inviter: network,
    },
    ownerSeed,
  )
  const memberSeed = seed()
  const request = claim({ certificate }, inviteSeed, memberSeed, options.label)
  const { invite, member } = request.claim
  const admission = signDocument(
    'admission',
    { v: 1, network, invite, member, at, witness: network },
    ownerSeed,
  )
  const identity: MembershipIdentity = {
    v: 1,
    name,
    secret: seed(),
    seed: memberSeed,
    request,
    addresses: [],
  }
  const directory = await emptyDirectory(options.directory)
  const membership = assemble(identity, ownerSeed, directory)
  await membership.takeFiled([fileDocument({ v: 1, kind: 'member', ...request, admission })])
  if (directory !== undefined) {
    await writeOwnerKey(directory, ownerSeed)
    // Last: what has no identity is no membership.
    await writeIdentity(directory, identity)
  }
  return membership
}

/**
 * Takes up an invite. The computer is a member when the first member that it meets has admitted it: give the
 * membership to `createHost`, `createClient` or `createNetwork`. The same invite again, or another one for a
 * member of the same role, opens what is there; who was revoked, or is to be something else, begins anew.
 *
 * @throws INVITE_INVALID for a text that is none; CONFIG_INVALID when the directory holds a membership in
 *   another network
 */
export async function joinPrivateNetwork(options: JoinOptions): Promise<Membership> {
  const known =
    options.directory === undefined ? undefined : await findMembership(options.directory)
  if (known === undefined) return await takeUpInvite(options)
  const { certificate } = parseInvite(options.invite)
  if (known.network !== certificate.network) {
    throw new ManyhandsError(
      'CONFIG_INVALID',
      `${options.directory} holds a membership in network ${known.name}, and the invite is for another one`,
      { hint: 'Name another directory for the other network.' },
    )
  }
  const same = known.request.certificate.invite === certificate.invite
  const suffices = known.state === 'member' && known.role === certificate.role
  if (same || suffices) return known
  await known.settle()
  return await takeUpInvite({ ...options, anew: true })
}

async function takeUpInvite(options: JoinOptions & { anew?: boolean }): Promise<LocalMembership> {
  const { name, secret, seed: inviteSeed, addresses, ...certified } = parseInvite(options.invite)
  const memberSeed = seed()
  const { certificate, delegation } = certified
  const request = claim(
    { certificate, ...(delegation === undefined ? {} : { delegation }) },
    inviteSeed,
    memberSeed,
    options.label,
  )
  const identity: MembershipIdentity = { v: 1, name, secret, seed: memberSeed, request, addresses }
  const directory = await emptyDirectory(options.directory, options.anew)
  if (directory === undefined) return assemble(identity, undefined, undefined)
  await writeIdentity(directory, identity)
  return (await findMembership(directory))!
}

/**
 * Opens a membership that was created or begun before.
 *
 * @throws NOT_FOUND when there is none; STATE_CORRUPT, CONFIG_INVALID
 */
export async function openMembership(directory: string): Promise<Membership> {
  const membership = await findMembership(directory)
  if (membership !== undefined) return membership
  throw new ManyhandsError('NOT_FOUND', `there is no membership in ${directory}`, {
    hint: 'Join a network with an invite first, or create one.',
  })
}

/** The same; undefined when there is none. */
export async function findMembership(directory: string): Promise<LocalMembership | undefined> {
  const path = resolve(directory)
  const identity = await readIdentity(path)
  if (identity === undefined) return undefined
  const { network } = identity.request.certificate
  const membership = assemble(identity, await readOwnerKey(path, network), path)
  await membership.met.read()
  await membership.refresh()
  return membership
}

function assemble(
  identity: MembershipIdentity,
  ownerSeed: Uint8Array | undefined,
  directory: string | undefined,
): LocalMembership {
  const { network } = identity.request.certificate
  const { peerId: member } = createIdentity(identity.seed)
  const shelf =
    directory === undefined ? memoryShelf : new DirectoryShelf(join(directory, 'roster'))
  const roster = new Roster(network)
  const met = new MetMembers(directory)
  return new LocalMembership({ network, member, identity, ownerSeed, roster, met }, shelf)
}

function claim(
  certified: CertifiedInvite,
  inviteSeed: Uint8Array,
  memberSeed: Uint8Array,
  label = hostname(),
): JoinRequest {
  const { network, invite } = certified.certificate
  const { peerId: member } = createIdentity(memberSeed)
  const document: Claim = {
    v: 1,
    network,
    invite,
    member,
    label: label.slice(0, LIMITS.memberLabelCharacters),
  }
  return { ...certified, claim: signDocument('claim', document, inviteSeed) }
}

async function emptyDirectory(
  directory: string | undefined,
  anew = false,
): Promise<string | undefined> {
  if (directory === undefined) return undefined
  const path = resolve(directory)
  try {
    await mkdir(path, { recursive: true, mode: 0o700 })
    await chmod(path, 0o700)
  } catch (cause) {
    throw new ManyhandsError(
      'CONFIG_INVALID',
      `the directory ${path} cannot be used: ${(cause as Error).message}`,
      { cause, hint: 'Name a directory that this user may write to.' },
    )
  }
  const known = await readIdentity(path)
  if (known === undefined || anew) return path
  throw new ManyhandsError(
    'CONFIG_INVALID',
    `the directory ${path} holds a membership in network ${known.name} already`,
    { hint: 'Open that one, or name another directory.' },
  )
}

function checkName(name: string): string {
  const parsed = networkNameSchema.safeParse(name)
  if (parsed.success) return parsed.data
  throw new ManyhandsError(
    'CONFIG_INVALID',
    `${JSON.stringify(name)} cannot be the name of a network`,
    {
      hint: `Begin with a letter or a digit; then also spaces, dots, dashes; at most ${LIMITS.networkNameCharacters} characters.`,
    },
  )
}

const seed = (): Uint8Array => new Uint8Array(randomBytes(32))
