import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import {
  createNetwork,
  createPrivateNetwork,
  joinPrivateNetwork,
  ManyhandsError,
  type MemberRole,
  openMembership,
  readInvite,
} from '@manyhands/core'
import type { CommandContext } from '../command-context.ts'
import { Interrupted, orInterrupted } from '../interruption.ts'
import { amongMembers, memberAddresses } from './among-members.ts'
import { withMember } from './member-id.ts'
import { joinedNetworks, networkDirectory, privateNetwork } from './network-home.ts'
import { memberTable, networkTable } from './network-tables.ts'

/** What an invite has room for. */
const INVITE_ADDRESSES = 8

export async function createOne(name: string, { env, output }: CommandContext): Promise<void> {
  const directory = networkDirectory(env, name)
  const { network, member } = await createPrivateNetwork({ name, directory })
  const ownerKey = join(directory, 'owner.key')
  const created = { name, network, member, directory, ownerKey }
  output.document(created)
  output.event('created', created)
  output.data(network)
  if (output.format !== 'text') return
  output.say(`created network ${name}; this computer is its owner and first member`)
  output.say(`  owner key  ${ownerKey}`)
  output.say('keep a copy of the owner key: without it nobody can be invited or revoked any more')
  output.say(`lend in it:   manyhands host --network ${name}`)
  output.say('invite:       manyhands network invite --role host')
}

export interface InviteFlags {
  network?: string
  role: MemberRole
  expires: string
  uses: number
  address?: string[]
}

export async function inviteOne(flags: InviteFlags, context: CommandContext): Promise<void> {
  const { output, env } = context
  const membership = await privateNetwork(flags.network, env)
  const addresses = flags.address ?? (await inviteAddresses(membership, context))
  const { role, expires, uses } = flags
  const invite = await membership.invite({ role, expires, uses, addresses })
  const summary = { invite, ...readInvite(invite) }
  output.document(summary)
  output.event('invite', summary)
  if (output.format === 'text') {
    const times = uses === 1 ? 'one computer' : `${uses} computers`
    const until = new Date(summary.expires).toISOString().slice(0, 16).replace('T', ' ')
    output.say(`${times} may join network ${membership.name} as ${role} until ${until} UTC:`)
    if (addresses.length === 0) {
      output.say('it names no address: members are looked for on the local network alone, where a')
      output.say('host has to run with --mdns; or name where one can be reached with --address')
    }
  }
  output.data(invite)
}

export async function joinOne(
  invite: string,
  flags: { as?: string; address?: string[] },
  context: CommandContext,
): Promise<void> {
  const { output, env, interruption } = context
  const summary = readInvite(invite)
  const name = flags.as ?? summary.name
  const directory = networkDirectory(env, name)
  const before = await joinedNetworks(env)
  const membership = await joinPrivateNetwork({ invite, directory })
  try {
    if (membership.state === 'joining') {
      const { address: bootstrap = [] } = flags
      const joining = createNetwork({ membership, gossip: false, bootstrap })
      await (await orInterrupted(joining, interruption.signal)).close()
    }
  } catch (error) {
    // An invite that is no good leaves nothing behind; one that met nobody is tried again as the same member.
    const { code } = error as Partial<ManyhandsError>
    if (code === 'INVITE_INVALID' && !before.includes(name)) {
      await rm(directory, { recursive: true, force: true })
    }
    throw error
  }
  const { network, role, member } = membership
  const joined = { name, network, role, member, directory }
  output.document(joined)
  output.event('joined', joined)
  if (output.format !== 'text') return
  output.say(`joined network ${name} as ${role}`)
  const option = (await joinedNetworks(env)).length > 1 ? ` --network ${name}` : ''
  if (role !== 'client') output.say(`lend in it:    manyhands host${option}`)
  if (role !== 'host') output.say(`borrow in it:  manyhands run${option} …`)
}

export async function listMembers(
  flags: { network?: string },
  context: CommandContext,
): Promise<void> {
  const { output } = context
  const membership = await privateNetwork(flags.network, context.env)
  const met = await among(membership, context, async (_, peers) => peers.length)
  const members = membership.members()
  output.document(members)
  for (const member of members) output.event('member', member)
  output.data(memberTable(members))
  if (output.format !== 'text') return
  if (met === 0) output.say('no other member could be asked: this is what was known before')
}

export async function revokeOne(
  given: string,
  flags: { network?: string; reason?: string },
  context: CommandContext,
): Promise<void> {
  const { output } = context
  const membership = await privateNetwork(flags.network, context.env)
  const { member, told } = await among(membership, context, async (network) => {
    const id = withMember(membership.members(), given)
    const { reason = '' } = flags
    const revoked = await membership.revoke(id, { reason })
    return { member: revoked, told: (await network.compareMembers?.()) ?? [] }
  })
  output.document({ revoked: member, told: told.length })
  output.event('revoked', { member, told: told.length })
  if (output.format !== 'text') return
  output.say(`revoked ${member.label} (${member.member})`)
  output.say(
    told.length > 0
      ? `told ${told.length} members, who tell the others`
      : 'no member could be reached: they hear of it as soon as one meets this computer',
  )
}

export async function delegateOne(
  given: string,
  flags: { network?: string; role: MemberRole; expires: string },
  context: CommandContext,
): Promise<void> {
  const { output } = context
  const membership = await privateNetwork(flags.network, context.env)
  const member = await among(membership, context, async (network) => {
    const id = withMember(membership.members(), given)
    const delegate = await membership.delegate(id, flags)
    await network.compareMembers?.()
    return delegate
  })
  output.document(member)
  output.event('delegated', { member })
  if (output.format !== 'text') return
  const until = new Date(member.mayInviteUntil ?? 0).toISOString().slice(0, 10)
  output.say(`${member.label} may invite until ${until}`)
}

export async function listNetworks({ env, output }: CommandContext): Promise<void> {
  const networks = []
  for (const name of await joinedNetworks(env)) {
    try {
      const { network, role, state, reason, owner, member } = await openMembership(
        networkDirectory(env, name),
      )
      networks.push({ name, network, role, state, owner, member, reason })
    } catch (error) {
      if (!(error instanceof ManyhandsError)) throw error
      output.say(`${name} cannot be read: ${error.message}`)
    }
  }
  output.document(networks)
  for (const network of networks) output.event('network', network)
  output.data(networkTable(networks))
}

async function among<Result>(
  membership: Parameters<typeof amongMembers>[0],
  context: CommandContext,
  work: Parameters<typeof amongMembers<Result>>[2],
): Promise<Result> {
  try {
    return await amongMembers(membership, context, work)
  } catch (error) {
    if (context.interruption.signal.aborted) throw new Interrupted()
    throw error
  }
}

async function inviteAddresses(
  membership: Parameters<typeof memberAddresses>[0],
  context: CommandContext,
): Promise<string[]> {
  const { local, met } = await memberAddresses(membership, context)
  const all = [...new Set([...local, ...met])]
  const isNear = (address: string): boolean => /^\/ip4\/127\.|^\/ip6\/::1\//.test(address)
  // What only this computer can reach comes last: another one on it may join as well.
  const far = all.filter((address) => !isNear(address))
  return [...far, ...all.filter(isNear)].slice(0, INVITE_ADDRESSES)
}
