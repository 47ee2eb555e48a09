import type { ConnectionGater } from '@libp2p/interface'
import { LIMITS } from '../../limits.ts'
import { REACH, reachOf } from '../host-reach.ts'
import type { Logger } from '../network.ts'
import { type Ban, type MannersCounts, noOffences } from './ban.ts'
import { Door } from './door.ts'
import type { PeerPace } from './guest.ts'
import { HeldFrames } from './held-frames.ts'
import { OFFENCES, type Offence } from './offences.ts'
import { type BanTimes, type StandingBan, Standings } from './standings.ts'

const PEER_TIMES: BanTimes = { firstMs: 60_000, longestMs: 3_600_000 }
/**
 * Behind a public address may be a household, behind a local one a colleague, and on our own computer the
 * honest programs are beside the bad one: the nearer, the shorter. Peers that are in good standing keep
 * their connections anyway.
 */
const ADDRESS_TIMES: Record<'computer' | 'site' | 'world', BanTimes> = {
  computer: { firstMs: 2_000, longestMs: 30_000 },
  site: { firstMs: 10_000, longestMs: 300_000 },
  world: { firstMs: 60_000, longestMs: 3_600_000 },
}
/** A peer with more points than these goes with its address. */
const SPARED_POINTS = 5
/** How often it is looked at what peers do not read, ms. */
const LOOK_MS = 1000

export interface MannersOptions {
  logger?: Logger
  /** Monotonic, ms. */
  now?: () => number
  onBan?: (ban: Ban) => void
}

/** What is held against peers and addresses, and who is refused for it. */
export class Manners {
  readonly #peers: Standings
  readonly #addresses: Standings
  readonly #door: Door
  /** Frames of all peers that are in our memory. */
  readonly held = new HeldFrames()
  readonly #logger: Logger | undefined
  readonly #onBan: ((ban: Ban) => void) | undefined
  readonly #looks = new Set<() => void>()
  #clock: NodeJS.Timeout | undefined
  readonly #counts = noOffences()

  constructor({ logger, now = () => performance.now(), onBan }: MannersOptions = {}) {
    this.#logger = logger
    this.#onBan = onBan
    this.#peers = new Standings({ banPoints: LIMITS.banPoints, times: () => PEER_TIMES, now })
    this.#addresses = new Standings({
      banPoints: LIMITS.addressBanPoints,
      times: timesOf,
      now,
    })
    this.#door = new Door({
      now,
      refusesAddress: (address) => this.#addresses.banned(address),
      refusesPeer: (peer) => this.refuses(peer),
      offend: (peer, offence) => this.offend(peer, offence),
      offendAddress: (address, offence) => this.#offendAddress(address, offence),
    })
  }

  /** Holds something against a peer, and against the addresses from which it has come. */
  offend(peer: string, offence: Offence, times = 1): void {
    this.#counts.offences[offence] += times
    const points = OFFENCES[offence] * times
    const addresses = this.#door.addressesOf(peer)
    const ban = this.#peers.add(peer, points, offence)
    if (ban !== undefined) {
      this.#door.cutPeer(peer)
      this.#banned({ peer, ...told(ban) })
    }
    for (const address of addresses) this.#addPoints(address, points, offence)
  }

  /** Whether a peer is banned now. */
  refuses(peer: string): boolean {
    return this.#peers.banned(peer)
  }

  /** It said something that could be read. */
  spoke(peer: string): void {
    this.#door.pace(peer).spoke = true
  }

  pace(peer: string): PeerPace {
    return this.#door.pace(peer)
  }

  bans(): Ban[] {
    return [
      ...this.#peers.bans().map((ban) => ({ peer: ban.who, ...told(ban) })),
      ...this.#addresses.bans().map((ban) => ({ address: ban.who, ...told(ban) })),
    ]
  }

  counts(): MannersCounts {
    return { ...this.#counts, offences: { ...this.#counts.offences } }
  }

  /** The owner takes a ban back. */
  forgive(peer: string): void {
    this.#peers.forgive(peer)
  }

  /** Where libp2p asks. */
  gater(): ConnectionGater {
    const deny = (admitted: boolean): boolean => {
      if (!admitted) this.#counts.refused += 1
      return !admitted
    }
    return {
      denyDialPeer: (peer) => this.refuses(peer.toString()),
      denyInboundConnection: (connection) => deny(this.#door.knock(connection)),
      denyInboundEncryptedConnection: (peer, connection) =>
        deny(this.#door.identified(peer.toString(), connection)),
      denyOutboundEncryptedConnection: (peer) => this.refuses(peer.toString()),
      denyInboundUpgradedConnection: (peer, connection) => {
        this.#door.entered(peer.toString(), connection, true)
        return false
      },
      denyOutboundUpgradedConnection: (peer, connection) => {
        this.#door.entered(peer.toString(), connection, false)
        return false
      },
    }
  }

  /** Has something looked at once a second. Returns what ends it. */
  watch(look: () => void): () => void {
    this.#looks.add(look)
    this.#clock ??= setInterval(() => {
      for (const one of [...this.#looks]) one()
    }, LOOK_MS).unref()
    return () => {
      this.#looks.delete(look)
      if (this.#looks.size > 0) return
      clearInterval(this.#clock)
      this.#clock = undefined
    }
  }

  /** Ends its clocks. */
  close(): void {
    clearInterval(this.#clock)
    this.#clock = undefined
    this.#door.close()
  }

  #offendAddress(address: string, offence: Offence): void {
    this.#counts.offences[offence] += 1
    this.#addPoints(address, OFFENCES[offence], offence)
  }

  #addPoints(address: string, points: number, offence: Offence): void {
    const ban = this.#addresses.add(address, points, offence)
    if (ban === undefined) return
    this.#door.cutAddress(address, (peer) => this.#peers.points(peer) < SPARED_POINTS)
    this.#banned({ address, ...told(ban) })
  }

  #banned(ban: Ban): void {
    this.#counts.bans += 1
    this.#logger?.warn('somebody is banned for a while', { ...ban })
    this.#onBan?.(ban)
  }
}

function timesOf(address: string): BanTimes {
  const reach = reachOf(address.replace('::/64', '::1'))
  if (reach <= REACH.computer) return ADDRESS_TIMES.computer
  return reach === REACH.world ? ADDRESS_TIMES.world : ADDRESS_TIMES.site
}

function told({ offence, times, leftMs }: StandingBan): Pick<Ban, 'offence' | 'times' | 'leftMs'> {
  return { offence, times, leftMs }
}
