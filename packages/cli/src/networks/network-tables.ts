import type { Membership, NetworkMember } from '@manyhands/core'
import { formatTable, shortPeer } from '../table.ts'

export function memberTable(members: NetworkMember[]): string {
  return formatTable(
    ['MEMBER', 'NAME', 'ROLE', 'STATE', 'INVITED BY', 'JOINED', 'PEERS'],
    members.map(({ member, label, role, state, invitedBy, joinedAt, peers, self }) => [
      member,
      self ? `${label} (this computer)` : label,
      role,
      state,
      invitedBy === 'owner' ? 'owner' : shortPeer(invitedBy),
      new Date(joinedAt).toISOString().slice(0, 16).replace('T', ' '),
      peers.slice(0, 3).map(shortPeer).join(' '),
    ]),
  )
}

export function networkTable(
  networks: Pick<Membership, 'name' | 'network' | 'role' | 'state' | 'owner'>[],
): string {
  return formatTable(
    ['NETWORK', 'ROLE', 'STATE', 'OWNER', 'ID'],
    networks.map(({ name, network, role, state, owner }) => [
      name,
      role,
      state,
      owner ? 'this computer' : '',
      network,
    ]),
  )
}
