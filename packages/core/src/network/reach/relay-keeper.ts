import { RELAY_V2_HOP_CODEC } from '@libp2p/circuit-relay-v2'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { LIMITS } from '../../limits.ts'
import { REACH, reachOf } from '../host-reach.ts'
import type { Libp2pNode } from '../libp2p-node.ts'
import type { Logger } from '../network.ts'
import { plainCause } from '../peer-error.ts'
import { peerIdOf } from '../peer-id.ts'
import { isRelayed } from './connection-rank.ts'
import type { HeldReservations, RelayRemoved } from './relay-transport.ts'

const FIRST_RETRY_MS = 500
const SLOWEST_RETRY_MS = 60_000
/** Addresses of ours over one relay. */
const ADDRESSES_PER_RELAY = 3

/** A relay as this peer sees it. */
export interface KnownRelay {
  peer: string
  /** Named in the options, or met. */
  named: boolean
  state: 'reserved' | 'trying' | 'waiting'
  /** Why there is no reservation. */
  why?: string
}

export interface RelayKeeperOptions {
  node: Libp2pNode
  reservations: HeldReservations
  /** Connects to an address and says who is there. */
  connect(address: string, signal: AbortSignal): Promise<string>
  /** Addresses of relays that are to be used. */
  named: readonly string[]
  /** Whether relays that were met are used as well: by who wants to be reached. */
  met: boolean
  /** Whether this peer needs relays, as far as it knows. */
  needed(): boolean
  /** What others may reach it over has changed. */
  changed(): void
  logger: Logger | undefined
}

interface Candidate {
  peer: string
  address?: string
  state: KnownRelay['state']
  why?: string
  retryMs: number
  timer?: NodeJS.Timeout
}

/**
 * Reservations at relays, several at a time, for a peer that cannot be reached otherwise. The library
 * renews what it holds; what is lost is made again here, elsewhere at once where there is another relay,
 * and where it was after a while that doubles.
 */
export class RelayKeeper {
  readonly #options: RelayKeeperOptions
  /** By peer id; of a named one that was not met yet by its address. */
  readonly #candidates = new Map<string, Candidate>()
  readonly #stop = new AbortController()
  #topology: string | undefined
  readonly #onRemoved = (event: RelayRemoved): void => {
    this.#lost(event.detail.relay.toString(), 'the connection to it was lost')
  }

  constructor(options: RelayKeeperOptions) {
    this.#options = options
    for (const address of options.named) {
      this.#candidates.set(address, {
        peer: '',
        address,
        state: 'waiting',
        retryMs: FIRST_RETRY_MS,
      })
    }
  }

  async start(): Promise<void> {
    const { node, reservations } = this.#options
    reservations.addEventListener('relay:removed', this.#onRemoved)
    this.#topology = await node.register(RELAY_V2_HOP_CODEC, {
      onConnect: (peer, connection) => {
        if (!isRelayed(connection.remoteAddr)) this.#met(peer.toString())
      },
      onDisconnect: (peer) => this.#left(peer.toString()),
    })
    this.look()
  }

  stop(): void {
    const { node, reservations } = this.#options
    this.#stop.abort()
    reservations.removeEventListener('relay:removed', this.#onRemoved)
    if (this.#topology !== undefined) node.unregister(this.#topology)
    for (const { timer } of this.#candidates.values()) clearTimeout(timer)
  }

  relays(): KnownRelay[] {
    return Array.from(this.#candidates.values(), ({ peer, address, state, why }) => ({
      peer: peer === '' ? (address as string) : peer,
      named: address !== undefined,
      state,
      ...(why === undefined ? {} : { why }),
    }))
  }

  /** Under which this peer is reached over its relays. */
  addresses(): string[] {
    const { node, reservations } = this.#options
    return [...this.#candidates.values()]
      .filter(({ state }) => state === 'reserved')
      .flatMap(({ peer }) => {
        const addrs = reservations.getReservation(peerIdOf(peer))?.addrs ?? []
        return outermost(addrs.map((bytes) => multiaddr(bytes)))
      })
      .map((relay) => `${relay}/p2p-circuit/p2p/${node.peerId}`)
  }

  /** Looks again whether relays are needed, and takes what is missing. */
  look(): void {
    if (this.#stop.signal.aborted) return
    const { needed, reservations, changed } = this.#options
    const held = [...this.#candidates.values()].filter(({ state }) => state === 'reserved')
    if (!needed()) {
      if (held.length === 0) return
      for (const candidate of held) candidate.state = 'waiting'
      reservations.cancelReservations()
      changed()
      return
    }
    const busy = [...this.#candidates.values()].filter(({ state }) => state !== 'waiting').length
    const free = [...this.#candidates.values()]
      .filter(({ state, timer }) => state === 'waiting' && timer === undefined)
      .sort((a, b) => Number(b.address !== undefined) - Number(a.address !== undefined))
    for (const candidate of free.slice(0, Math.max(0, LIMITS.relaysPerPeer - busy))) {
      void this.#reserve(candidate)
    }
  }

  #met(peer: string): void {
    if (!this.#options.met || this.#candidates.has(peer)) return
    if (this.#candidates.size >= LIMITS.relaysKnown) return
    this.#candidates.set(peer, { peer, state: 'waiting', retryMs: FIRST_RETRY_MS })
    this.look()
  }

  /** A relay that was met is forgotten when it leaves; one that was named is waited for. */
  #left(peer: string): void {
    const candidate = this.#candidates.get(peer)
    if (candidate === undefined || candidate.address !== undefined) return
    clearTimeout(candidate.timer)
    this.#candidates.delete(peer)
    if (candidate.state === 'reserved') this.#options.changed()
    this.look()
  }

  #lost(peer: string, why: string): void {
    const candidate = this.#candidates.get(peer)
    if (candidate?.state !== 'reserved') return
    this.#retry(candidate, why)
    this.#options.changed()
    this.look()
  }

  async #reserve(candidate: Candidate): Promise<void> {
    const { reservations, connect, changed, logger } = this.#options
    candidate.state = 'trying'
    try {
      const { address } = candidate
      if (address !== undefined) this.#named(candidate, await connect(address, this.#stop.signal))
      await reservations.addRelay(peerIdOf(candidate.peer), 'configured')
      if (this.#stop.signal.aborted || candidate.state !== 'trying') return
      // It may be gone again, in which case nobody tells any more.
      if (!reservations.hasReservation(peerIdOf(candidate.peer))) {
        this.#retry(candidate, 'the connection to it was lost')
        return this.look()
      }
      candidate.state = 'reserved'
      candidate.retryMs = FIRST_RETRY_MS
      delete candidate.why
      changed()
    } catch (error) {
      if (this.#stop.signal.aborted) return
      logger?.debug('no reservation at a relay', { relay: candidate.peer, error })
      this.#retry(candidate, plainCause(error))
      this.look()
    }
  }

  /** Who was found at the address of a named relay. */
  #named(candidate: Candidate, peer: string): void {
    if (candidate.peer === peer) return
    this.#candidates.delete(candidate.peer === '' ? (candidate.address as string) : candidate.peer)
    candidate.peer = peer
    this.#candidates.set(peer, candidate)
  }

  #retry(candidate: Candidate, why: string): void {
    candidate.state = 'waiting'
    candidate.why = why
    clearTimeout(candidate.timer)
    candidate.timer = setTimeout(
      () => {
        delete candidate.timer
        this.look()
      },
      candidate.retryMs * (0.5 + Math.random()),
    ).unref()
    candidate.retryMs = Math.min(2 * candidate.retryMs, SLOWEST_RETRY_MS)
  }
}

/** The addresses of a relay that reach the furthest. */
function outermost(addresses: Multiaddr[]): Multiaddr[] {
  const reach = (address: Multiaddr) => {
    const host = address.getComponents()[0]
    return host?.name.startsWith('dns') ? REACH.world : reachOf(host?.value ?? '')
  }
  const furthest = Math.max(...addresses.map(reach))
  return addresses.filter((each) => reach(each) === furthest).slice(0, ADDRESSES_PER_RELAY)
}
