import { randomBytes } from 'node:crypto'
import { TRANSFER } from '../artifacts/transfer-limits.ts'
import type { SwarmPeer } from './transfer-messages.ts'

interface Member {
  peer: string
  addresses: string[]
  tell(peers: SwarmPeer[]): void
}

/**
 * Who fetches which artifact, as far as this peer is asked for it, and which tickets let peers fetch
 * it from each other. The owner of an artifact gives all that may have it one ticket and tells them of
 * each other; whoever shows the ticket gets what is here.
 */
export class Swarms {
  readonly #members = new Map<string, Map<string, Member>>()
  /** By root: given by us, and given to us. */
  readonly #issued = new Map<string, string>()
  readonly #learned = new Map<string, Set<string>>()

  /** The ticket of an artifact that is ours to give. */
  ticket(root: string): string {
    let ticket = this.#issued.get(root)
    if (ticket === undefined) {
      ticket = randomBytes(16).toString('hex')
      this.#issued.set(root, ticket)
      forgetOldest(this.#issued)
    }
    return ticket
  }

  /** A ticket that the owner of an artifact gave. */
  learn(root: string, ticket: string): void {
    const tickets = this.#learned.get(root) ?? new Set()
    this.#learned.delete(root)
    this.#learned.set(root, tickets.add(ticket))
    // One per owner; jobs of many clients may have the same scene.
    for (const oldest of tickets) {
      if (tickets.size <= TRANSFER.ticketsPerArtifact) break
      tickets.delete(oldest)
    }
    forgetOldest(this.#learned)
  }

  admits(root: string, ticket: string | undefined): boolean {
    if (ticket === undefined) return false
    return this.#issued.get(root) === ticket || this.#learned.get(root)?.has(ticket) === true
  }

  /** Somebody fetches, and gives what it has. It is told of others now and later. */
  join(root: string, member: Member): void {
    const members = this.#members.get(root) ?? new Map<string, Member>()
    this.#members.set(root, members)
    const others = [...members.values()].filter(({ peer }) => peer !== member.peer)
    members.delete(member.peer)
    members.set(member.peer, member)
    for (const other of others) other.tell([described(member)])
    // The newest are the likeliest to be there.
    const known = others.slice(-TRANSFER.swarmPeers).map(described)
    if (known.length > 0) member.tell(known)
    for (const oldest of members.keys()) {
      if (members.size <= TRANSFER.swarmMembers) break
      members.delete(oldest)
    }
    forgetOldest(this.#members)
  }

  leave(root: string, peer: string): void {
    const members = this.#members.get(root)
    members?.delete(peer)
    if (members?.size === 0) this.#members.delete(root)
  }

  /** A peer is gone. */
  forget(peer: string): void {
    for (const root of [...this.#members.keys()]) this.leave(root, peer)
  }
}

function described({ peer, addresses }: Member): SwarmPeer {
  return { peer, addresses }
}

function forgetOldest(map: Map<string, unknown>): void {
  for (const oldest of map.keys()) {
    if (map.size <= TRANSFER.swarms) break
    map.delete(oldest)
  }
}
