import type { Connection, PeerId, Stream } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { ManyhandsError } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import { namesOf } from '../wire/protocols.ts'
import { parseAddresses, peerOfAddress } from './address.ts'
import type { DialRules } from './dial-rules.ts'
import type { Libp2pNode } from './libp2p-node.ts'
import { connectFailed, networkClosed, streamRefused } from './peer-error.ts'
import { peerIdOf } from './peer-id.ts'
import { protocolsOf, versionsDiffer } from './peer-versions.ts'
import { bestConnection, isRelayed, isWebRtc } from './reach/connection-rank.ts'
import { type Attempt, DialRace } from './reach/dial-race.ts'

/** Direct addresses begin one after the other, ms; the first one is what the peer thinks is best. */
const NEXT_ADDRESS_MS = 250
/** How long direct addresses have before the peer is asked to call back, and that before relays, ms. */
const DIRECT_MS = 1500
const REVERSAL_MS = 2000

export interface PeerDialerOptions {
  node: Libp2pNode
  rules: DialRules
  /** Where a peer says that it can be reached. */
  addressesOf(peer: string): string[]
  /** What a peer has said when it let us not in. */
  refusalOf(thrown: unknown): Error | undefined
  /** How a peer that cannot be dialed is had to call back; undefined when nobody could ask it to. */
  callBack(peer: string, relayed: readonly Multiaddr[]): Attempt | undefined
}

/** Makes connections to peers and opens streams over them, each within a time. */
export class PeerDialer {
  readonly #options: PeerDialerOptions
  readonly #dials = new Map<string, Promise<Connection>>()
  readonly #closing = new AbortController()

  constructor(options: PeerDialerOptions) {
    this.#options = options
  }

  close(): void {
    this.#closing.abort(networkClosed())
  }

  /**
   * Connects to an address; who was found there.
   *
   * @param told - a peer told it, and is not trusted to send us anywhere
   * @throws ADDRESS_INVALID, CONNECT_FAILED, CLOSED
   */
  async address(address: string, options: DialOptions = {}): Promise<string> {
    const [target] = await this.#allowed([address], options)
    const connection = await this.bounded(address, options.signal, (bounded) =>
      this.#options.node.dial(target!, { signal: bounded }),
    )
    return connection.remotePeer.toString()
  }

  /**
   * Connects to a peer at any of its addresses.
   *
   * @throws ADDRESS_INVALID, CONNECT_FAILED, CLOSED
   */
  async addresses(addresses: readonly string[], options: DialOptions = {}): Promise<string> {
    if (addresses.length === 0) {
      throw new ManyhandsError('CONNECT_FAILED', 'it is not known where the peer is')
    }
    const parsed = await this.#allowed(addresses, options)
    const peers = new Set(parsed.map(peerOfAddress))
    const [peer] = peers
    if (peer === undefined || peers.size > 1) {
      throw new ManyhandsError(
        'ADDRESS_INVALID',
        'addresses that are tried together are of one peer, and end with /p2p/ and its id',
      )
    }
    await this.bounded(peer, options.signal, (bounded) => this.#connection(peer, bounded, parsed))
    return peer
  }

  /** Connects to a peer of which it is known where it is. @throws CONNECT_FAILED, CLOSED */
  async peer(peer: string, signal?: AbortSignal): Promise<void> {
    await this.bounded(peer, signal, (bounded) => this.#connection(peer, bounded))
  }

  /** Opens a stream to a peer, over the best connection to it or a new one. */
  stream(
    peer: string,
    protocol: string,
    signal?: AbortSignal,
  ): Promise<{ stream: Stream; connection: Connection }> {
    return this.bounded(peer, signal, async (bounded) => {
      const streams = {
        signal: bounded,
        maxOutboundStreams: LIMITS.streamsPerPeer,
        // What is too much for a relay is refused where it is known how much it is.
        runOnLimitedConnection: true,
      }
      const begin = async (connection: Connection) => ({
        connection,
        stream: await connection.newStream(namesOf(protocol), streams),
      })
      try {
        const connection = await this.#connection(peer, bounded)
        return await begin(connection).catch(async (error) => {
          // It was closing already, and nobody had been told: another one is made.
          if ((error as Error).name !== 'ConnectionClosedError') throw error
          const other = this.#best(peer)
          return begin(
            other === undefined || other === connection ? await this.#dial(peer, bounded) : other,
          )
        })
      } catch (error) {
        const refused = (error as Error | undefined)?.name === 'UnsupportedProtocolError'
        const differ = refused && versionsDiffer(peer, await protocolsOf(this.#options.node, peer))
        throw differ || streamRefused(peer, protocol, error)
      }
    })
  }

  /** Does something with a peer within the time of a dial. @throws CONNECT_FAILED, CLOSED, the signal's reason */
  async bounded<Result>(
    where: string,
    signal: AbortSignal | undefined,
    work: (signal: AbortSignal) => Promise<Result>,
  ): Promise<Result> {
    if (this.#closing.signal.aborted) throw networkClosed()
    signal?.throwIfAborted()
    const timeout = AbortSignal.timeout(LIMITS.dialTimeoutMs)
    try {
      return await work(signal === undefined ? timeout : AbortSignal.any([signal, timeout]))
    } catch (error) {
      signal?.throwIfAborted()
      if (this.#closing.signal.aborted) throw networkClosed()
      throw connectFailed(where, this.#options.refusalOf(error) ?? error)
    }
  }

  /**
   * Connects to a peer directly, whatever connections there are already, at addresses of it one beside
   * the other.
   *
   * @throws why none of them works
   */
  async direct(addresses: readonly Multiaddr[], signal: AbortSignal): Promise<Connection> {
    const race = new DialRace(signal, closeLate)
    await this.#addDirect(race, addresses)
    return await race.result()
  }

  #best(peer: string): Connection | undefined {
    return bestConnection(this.#options.node.getConnections(peerIdOf(peer)))
  }

  /** What to dial to find a peer: where it says that it is, or wherever it was before. */
  async whereIs(peer: string, addresses: readonly string[]): Promise<Multiaddr[] | PeerId> {
    const said = await parseAddresses(addresses).catch(() => [])
    const known = await this.#known(peer, said)
    return known.length > 0 ? known : peerIdOf(peer)
  }

  async #connection(
    peer: string,
    signal: AbortSignal,
    told: readonly Multiaddr[] = [],
  ): Promise<Connection> {
    return this.#best(peer) ?? (await this.#dial(peer, signal, told))
  }

  /** Callers that want the same peer share a dial; each waits for it as long as it wants. */
  async #dial(
    peer: string,
    signal: AbortSignal,
    told: readonly Multiaddr[] = [],
  ): Promise<Connection> {
    let dial = this.#dials.get(peer)
    if (dial === undefined) {
      const bounded = AbortSignal.any([
        this.#closing.signal,
        AbortSignal.timeout(LIMITS.dialTimeoutMs),
      ])
      dial = this.#reach(peer, bounded, told).finally(() => this.#dials.delete(peer))
      dial.catch(() => {})
      this.#dials.set(peer, dial)
    }
    return await untilAborted(dial, signal)
  }

  /** Direct addresses first, then a call back, then relays; what comes later does not wait long. */
  async #reach(peer: string, signal: AbortSignal, told: readonly Multiaddr[]): Promise<Connection> {
    const { node, callBack } = this.#options
    const addresses = await this.#known(peer, told)
    const relayed = addresses.filter(isRelayed)
    const direct = addresses.filter((address) => !isRelayed(address))
    const race = new DialRace(signal, closeLate)
    await this.#addDirect(race, direct)
    await race.wait(DIRECT_MS)
    const back = race.over ? undefined : callBack(peer, relayed)
    if (back !== undefined) {
      race.add(back)
      await race.wait(REVERSAL_MS)
    }
    if (addresses.length === 0 && back === undefined) {
      throw new ManyhandsError('CONNECT_FAILED', `no address of ${peer} is known`)
    }
    if (!race.over && relayed.length > 0) {
      race.add((bounded) => node.dial(relayed.slice(0, RELAYED_ADDRESSES), { signal: bounded }))
    }
    return await race.result()
  }

  /** Begins with each a moment after the one before, or as soon as that has failed. */
  async #addDirect(race: DialRace, addresses: readonly Multiaddr[]): Promise<void> {
    const { inside } = this.#options.node.services
    for (const address of addresses.slice(0, DIRECT_ADDRESSES)) {
      if (race.over) return
      race.add((signal) => inside.dial(address, signal))
      await race.wait(NEXT_ADDRESS_MS)
    }
  }

  /** Those of the addresses that may be dialed. @throws ADDRESS_INVALID; CONNECT_FAILED when none is */
  async #allowed(texts: readonly string[], { told }: DialOptions): Promise<Multiaddr[]> {
    const { rules } = this.#options
    const parsed = await parseAddresses(texts)
    const allowed: Multiaddr[] = []
    for (const address of parsed) {
      if (told !== undefined && !(await rules.allows(address, told.by))) continue
      rules.name(address, { told: told !== undefined })
      allowed.push(address)
    }
    if (allowed.length > 0 || parsed.length === 0) return allowed
    throw new ManyhandsError(
      'CONNECT_FAILED',
      `${texts.join(', ')} is of a private network that this computer is not in`,
    )
  }

  /** Where a peer can be reached: as we were told, as it says itself, and where it was before. */
  async #known(peer: string, told: readonly Multiaddr[]): Promise<Multiaddr[]> {
    const { node, rules, addressesOf } = this.#options
    const offered = await parseAddresses(addressesOf(peer)).catch(() => [])
    const before = await node.peerStore.get(peerIdOf(peer)).then(
      (known) => known.addresses.map(({ multiaddr }) => withPeer(multiaddr, peer)),
      () => [],
    )
    const known = new Map<string, Multiaddr>()
    for (const address of [...told, ...offered, ...before]) {
      // By WebRTC peers meet who are connected.
      const own = peerOfAddress(address) === peer && !isWebRtc(address)
      if (!own || !(await rules.allows(address))) continue
      rules.name(address, { told: true })
      known.set(address.toString(), address)
    }
    return [...known.values()]
  }
}

interface DialOptions {
  signal?: AbortSignal
  /** A peer told of the addresses; `by` when it is known which one. */
  told?: { by?: string }
}

/** Addresses of a peer that are dialed at most. */
const DIRECT_ADDRESSES = 8
const RELAYED_ADDRESSES = 6

const withPeer = (address: Multiaddr, peer: string): Multiaddr =>
  peerOfAddress(address) === peer ? address : address.encapsulate(`/p2p/${peer}`)

/** Two ways worked at once; the other one is in use. */
function closeLate(connection: Connection): void {
  connection.close().catch((error) => connection.abort(error))
}

function untilAborted<Value>(promise: Promise<Value>, signal: AbortSignal): Promise<Value> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason)
    if (signal.aborted) return onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}
