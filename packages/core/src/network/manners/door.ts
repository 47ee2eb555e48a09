import type { Socket } from 'node:net'
import type { MultiaddrConnection } from '@libp2p/interface'
import { LIMITS } from '../../limits.ts'
import { addressKey } from './address-key.ts'
import { type Guest, PeerPace } from './guest.ts'
import type { Offence } from './offences.ts'

/** How often handshakes are looked at, ms. */
const TURN_MS = 500
/** What every honest dialer sends at once: the name of a protocol, or the nonce of a private network. */
const FIRST_BYTES = 16
/** A handshake younger than this makes room for no other, ms. */
const YOUNG_MS = 1000
/** A connection on which nothing was said, and that is older, makes room for others, ms. */
const MUTE_MS = 10_000

export interface DoorOptions {
  now: () => number
  refusesAddress(address: string): boolean
  refusesPeer(peer: string): boolean
  offendAddress(address: string, offence: Offence): void
  offend(peer: string, offence: Offence): void
}

/**
 * Counts connections before anything they say is read: handshakes that are under way, in all and from one
 * address, and connections in all, from one address and of one peer. Where there is no room, the oldest
 * handshake that gets nowhere ends, so that one who dials properly still comes in beside a crowd that
 * does not.
 */
export class Door {
  readonly #options: DoorOptions
  readonly #guests = new Map<MultiaddrConnection, Guest>()
  /** Oldest first. */
  readonly #handshakes = new Set<Guest>()
  readonly #ofAddress = new Map<string, Set<Guest>>()
  readonly #ofPeer = new Map<string, PeerPace>()
  #clock: NodeJS.Timeout | undefined

  constructor(options: DoorOptions) {
    this.#options = options
  }

  /** Somebody connects. Whether they may go on. */
  knock(connection: MultiaddrConnection): boolean {
    const address = addressKey(connection)
    if (address !== undefined && this.#options.refusesAddress(address)) return false
    if (!this.#roomForHandshake(address) || !this.#roomFor(address)) {
      if (address !== undefined) this.#options.offendAddress(address, 'crowd')
      return false
    }
    const guest = this.#enter(connection, address, true)
    this.#handshakes.add(guest)
    this.#clock ??= setInterval(() => this.#turn(), TURN_MS).unref()
    return true
  }

  /** They have proved who they are. Whether they may go on. */
  identified(peer: string, connection: MultiaddrConnection): boolean {
    if (this.#options.refusesPeer(peer)) return false
    if ((this.#ofPeer.get(peer)?.guests.size ?? 0) < LIMITS.connectionsPerPeer) return true
    const guest = this.#guests.get(connection)
    if (guest !== undefined) guest.blamed = true
    this.#options.offend(peer, 'crowd')
    return false
  }

  /** The connection stands. */
  entered(peer: string, connection: MultiaddrConnection, inbound: boolean): void {
    const guest =
      this.#guests.get(connection) ?? this.#enter(connection, addressKey(connection), inbound)
    this.#handshakes.delete(guest)
    guest.peer = peer
    const pace = this.pace(peer)
    this.#ofPeer.set(peer, pace)
    pace.guests.add(guest)
  }

  /** What a peer does now. It is forgotten with its last connection. */
  pace(peer: string): PeerPace {
    return this.#ofPeer.get(peer) ?? new PeerPace(this.#options.now)
  }

  /** Addresses from which a peer is connected to us. Where we have dialed is no matter of its own. */
  addressesOf(peer: string): Set<string> {
    const guests = [...(this.#ofPeer.get(peer)?.guests ?? [])]
    return new Set(guests.flatMap(({ inbound, address }) => (inbound && address) || []))
  }

  cutPeer(peer: string): void {
    for (const guest of [...(this.#ofPeer.get(peer)?.guests ?? [])])
      cut(guest, 'the peer is banned')
  }

  /** Ends what comes from an address, but for peers that are spared. */
  cutAddress(address: string, spared: (peer: string) => boolean): void {
    for (const guest of [...(this.#ofAddress.get(address) ?? [])]) {
      if (!guest.inbound) continue
      if (guest.peer !== undefined && this.#spoke(guest) && spared(guest.peer)) continue
      cut(guest, 'its address is banned')
    }
  }

  close(): void {
    clearInterval(this.#clock)
    this.#clock = undefined
  }

  #spoke({ peer }: Guest): boolean {
    return peer !== undefined && this.#ofPeer.get(peer)?.spoke === true
  }

  #roomForHandshake(address: string | undefined): boolean {
    const from = (one: Guest): boolean => one.address === address
    const same = [...this.#handshakes].filter(from)
    if (same.length >= LIMITS.upgradesPerAddress) return this.#giveUp(same[0]!)
    if (this.#handshakes.size < LIMITS.upgrades) return true
    return this.#giveUp(this.#handshakes.values().next().value!)
  }

  #giveUp(oldest: Guest): boolean {
    if (this.#options.now() - oldest.since < YOUNG_MS) return false
    this.#blame(oldest, 'silent')
    cut(oldest, 'others wait')
    return true
  }

  #roomFor(address: string | undefined): boolean {
    const same = address === undefined ? undefined : this.#ofAddress.get(address)
    if ((same?.size ?? 0) >= LIMITS.connectionsPerAddress) return this.#endMute(same!)
    return this.#guests.size < LIMITS.connections || this.#endMute(this.#guests.values())
  }

  #endMute(guests: Iterable<Guest>): boolean {
    const before = this.#options.now() - MUTE_MS
    for (const guest of guests) {
      if (!guest.inbound || guest.since > before || this.#spoke(guest)) continue
      cut(guest, 'nothing was said, and others wait')
      return true
    }
    return false
  }

  #enter(connection: MultiaddrConnection, address: string | undefined, inbound: boolean): Guest {
    const { now } = this.#options
    const guest: Guest = {
      connection,
      address,
      inbound,
      since: now(),
      peer: undefined,
      turns: 0,
      blamed: false,
    }
    this.#guests.set(connection, guest)
    if (address !== undefined) {
      const same = this.#ofAddress.get(address) ?? new Set()
      this.#ofAddress.set(address, same.add(guest))
    }
    connection.addEventListener('close', () => this.#leave(guest), { once: true })
    return guest
  }

  #leave(guest: Guest): void {
    const { connection, address, peer } = guest
    this.#guests.delete(connection)
    if (this.#handshakes.delete(guest)) this.#blame(guest, 'dropped')
    if (address !== undefined) {
      const same = this.#ofAddress.get(address)
      same?.delete(guest)
      if (same?.size === 0) this.#ofAddress.delete(address)
    }
    if (peer === undefined) return
    const pace = this.#ofPeer.get(peer)
    pace?.guests.delete(guest)
    if (pace?.guests.size === 0) this.#ofPeer.delete(peer)
  }

  /** Handshakes that take too long, or of which nearly nothing has come. */
  #turn(): void {
    if (this.#handshakes.size === 0) {
      clearInterval(this.#clock)
      this.#clock = undefined
    }
    for (const guest of [...this.#handshakes]) {
      guest.turns += 1
      const ms = guest.turns * TURN_MS
      const { socket } = guest.connection as { socket?: Socket }
      const trickles = ms >= LIMITS.firstBytesMs && (socket?.bytesRead ?? FIRST_BYTES) < FIRST_BYTES
      if (!trickles && ms < LIMITS.upgradeMs) continue
      this.#blame(guest, 'silent')
      cut(guest, 'the handshake took too long')
    }
  }

  #blame(guest: Guest, offence: Offence): void {
    if (guest.blamed) return
    guest.blamed = true
    if (guest.address !== undefined) this.#options.offendAddress(guest.address, offence)
  }
}

function cut(guest: Guest, why: string): void {
  guest.connection.abort(new Error(why))
}
