import type { Connection } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { ManyhandsError } from '../../errors.ts'
import { LIMITS } from '../../limits.ts'
import type { RpcParams, RpcResult } from '../../wire/rpc-methods.ts'
import { directHost } from '../bulk-route.ts'
import type { DialRules } from '../dial-rules.ts'
import type { Libp2pNode } from '../libp2p-node.ts'
import type { Network } from '../network.ts'
import type { PeerGate } from '../peer-gate.ts'
import { peerIdOf } from '../peer-id.ts'
import { allowed, dialable, hostOf } from './address-judgement.ts'
import { CallbackBudget } from './callback-budget.ts'
import { bestConnection, RANK, rankOf, relayOfAddress } from './connection-rank.ts'
import type { Attempt } from './dial-race.ts'

/** How long a peer has to call back, ms: less than who waits for it waits. */
const CALLBACK_MS = 5000
const INTRODUCE_MS = 6000

export interface CallbacksOptions {
  node: Libp2pNode
  network: Pick<Network, 'call' | 'handle'>
  gate: PeerGate
  rules: DialRules
  /** Addresses of this peer at which it may be called, the best first. */
  ownAddresses(): string[]
  /** Connects directly, whatever connections there are. */
  dial(addresses: readonly Multiaddr[], signal: AbortSignal): Promise<Connection>
}

/**
 * Connections the other way round: who cannot dial a peer has it asked, by a neighbour of both or over
 * a relay, to dial back. Answers such wishes too, within bounds.
 */
export class Callbacks {
  readonly #options: CallbacksOptions
  readonly #passed = new CallbackBudget()
  readonly #made = new CallbackBudget()
  /** Connections that were made at the wish of the side that did not dial. */
  readonly #reversed = new WeakSet<Connection>()
  /** Peers that were asked to call, and who waits for them. */
  readonly #expected = new Map<string, Set<(connection: Connection) => void>>()
  /** Peers that are being called back. */
  readonly #calling = new Set<string>()

  constructor(options: CallbacksOptions) {
    this.#options = options
    const { network } = options
    network.handle('peer.introduce', (params, { peer }) => this.#introduce(params, peer))
    network.handle('peer.callback', (params, { peer }) => this.#callBack(params, peer))
  }

  isReversed(connection: Connection): boolean {
    return this.#reversed.has(connection)
  }

  /** A connection was opened: it may be the one that somebody waits for. */
  opened(connection: Connection): void {
    if (rankOf(connection) < RANK.direct) return
    const peer = connection.remotePeer.toString()
    const waiting = connection.direction === 'inbound' ? this.#expected.get(peer) : undefined
    const calling = connection.direction === 'outbound' && this.#calling.has(peer)
    if (waiting === undefined && !calling) return
    this.#reversed.add(connection)
    for (const resolve of waiting ?? []) resolve(connection)
  }

  /** Asks neighbours to have a peer call; undefined: there is nobody to ask, or nowhere to call. */
  throughNeighbours(peer: string, relayed: readonly Multiaddr[]): Attempt | undefined {
    const addresses = this.#callable()
    const neighbours = this.#neighbours(peer, relayed)
    if (addresses.length === 0 || neighbours.length === 0) return undefined
    return (signal) =>
      this.#expect(peer, signal, async () => {
        const asked = neighbours.map(async (neighbour) => {
          const { connected } = await this.#options.network.call(
            neighbour,
            'peer.introduce',
            { peer, addresses },
            { signal, timeoutMs: INTRODUCE_MS },
          )
          if (!connected) throw new ManyhandsError('CONNECT_FAILED', 'it did not call back')
        })
        await Promise.any(asked).catch(() => {
          throw new ManyhandsError('CONNECT_FAILED', `no neighbour could have ${peer} call back`)
        })
      })
  }

  /**
   * Asks a peer, over the connection that there is, to call back directly.
   *
   * @returns addresses at which it may be called itself, when it could not
   */
  async overRelay(peer: string, signal: AbortSignal): Promise<string[]> {
    let theirs: string[] = []
    await this.#expect(peer, signal, async () => {
      const { connected, addresses } = await this.#options.network.call(
        peer,
        'peer.callback',
        { addresses: this.#callable() },
        { signal, timeoutMs: INTRODUCE_MS },
      )
      theirs = addresses
      if (!connected) throw new ManyhandsError('CONNECT_FAILED', 'it did not call back')
    }).catch((error) => {
      if (theirs.length === 0) throw error
    })
    return theirs
  }

  #callable(): string[] {
    return this.#options.ownAddresses().slice(0, LIMITS.addressesPerPeer)
  }

  /** Peers that may know another one: its relays, then whoever is there. */
  #neighbours(peer: string, relayed: readonly Multiaddr[]): string[] {
    const { node } = this.#options
    const direct = node
      .getConnections()
      .filter((each) => rankOf(each) >= RANK.direct)
      .map(({ remotePeer }) => remotePeer.toString())
    const there = new Set(direct)
    const relays = relayed.flatMap((address) => relayOfAddress(address) ?? [])
    const first = relays.filter((relay) => there.has(relay))
    return [...new Set([...first, ...there])]
      .filter((each) => each !== peer)
      .slice(0, LIMITS.neighboursAsked)
  }

  /** The connection that a peer makes while it is asked to. */
  async #expect(peer: string, signal: AbortSignal, ask: () => Promise<void>): Promise<Connection> {
    const { promise, resolve, reject } = Promise.withResolvers<Connection>()
    const waiting = this.#expected.get(peer) ?? new Set()
    this.#expected.set(peer, waiting.add(resolve))
    const onAbort = () => reject(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      ask().catch(reject)
      return await promise
    } finally {
      signal.removeEventListener('abort', onAbort)
      waiting.delete(resolve)
      if (waiting.size === 0) this.#expected.delete(peer)
    }
  }

  /** Passes a wish on to a peer that is connected here, with addresses that the asker really has. */
  async #introduce(
    { peer, addresses }: RpcParams<'peer.introduce'>,
    asker: string,
  ): Promise<RpcResult<'peer.introduce'>> {
    const { node, network, gate } = this.#options
    const from = bestConnection(node.getConnections(peerIdOf(asker)))
    const to = bestConnection(node.getConnections(peerIdOf(peer)))
    const host = from === undefined ? undefined : directHost(from)
    if (host === undefined || to === undefined || gate.refuses(peer)) return { connected: false }
    // Where it comes from: nobody has others dial a third party.
    const own = dialable(addresses, asker, from?.remoteAddr).filter(
      (address) => hostOf(address) === host,
    )
    if (own.length === 0) return { connected: false }
    const called = await this.#passed.spend(asker, LIMITS.callbacksPerPeer, () =>
      network.call(
        peer,
        'peer.callback',
        { peer: asker, addresses: own.map(String) },
        { timeoutMs: CALLBACK_MS },
      ),
    )
    if (called === undefined) throw tooMany(asker)
    return { connected: called.connected }
  }

  async #callBack(
    { peer, addresses }: RpcParams<'peer.callback'>,
    teller: string,
  ): Promise<RpcResult<'peer.callback'>> {
    const { node, gate, dial } = this.#options
    const asker = peer ?? teller
    const answer = (connected: boolean) => ({
      connected,
      addresses: asker === teller ? this.#callable() : [],
    })
    if (asker === node.peerId.toString() || gate.refuses(asker)) return answer(false)
    const there = bestConnection(node.getConnections(peerIdOf(asker)))
    if (there !== undefined && rankOf(there) >= RANK.direct) return answer(true)
    const over = bestConnection(node.getConnections(peerIdOf(teller)))
    const targets = await allowed(
      dialable(addresses, asker, over?.remoteAddr),
      this.#options.rules,
      (over && relayOfAddress(over.remoteAddr)) ?? teller,
    )
    if (targets.length === 0) return answer(false)
    // Counted for who asks us: who it says that wants it can be made up.
    const most = asker === teller ? LIMITS.callbacksPerPeer : LIMITS.callbacksPerNeighbour
    const connected = await this.#made.spend(teller, most, async () => {
      this.#calling.add(asker)
      try {
        await dial(targets, AbortSignal.timeout(CALLBACK_MS - 500))
        return true
      } catch {
        return false
      } finally {
        this.#calling.delete(asker)
      }
    })
    if (connected === undefined) throw tooMany(teller)
    return answer(connected)
  }
}

const tooMany = (peer: string) =>
  new ManyhandsError('LIMIT', `peer ${peer} asks too often to be called back`)
