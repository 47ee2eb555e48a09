import type { Connection, IdentifyResult } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { LIMITS } from '../../limits.ts'
import type { RpcParams, RpcResult } from '../../wire/rpc-methods.ts'
import type { DialRules } from '../dial-rules.ts'
import { REACH } from '../host-reach.ts'
import type { Libp2pNode } from '../libp2p-node.ts'
import type { Logger, Network } from '../network.ts'
import { plainCause } from '../peer-error.ts'
import { peerIdOf } from '../peer-id.ts'
import { addressReach, allowed, dialable, hostOf } from './address-judgement.ts'
import { CallbackBudget } from './callback-budget.ts'
import { bestConnection, RANK, rankOf } from './connection-rank.ts'
import type { OwnAddresses } from './own-addresses.ts'

/** Peers that come at once are asked together, ms. */
const PAUSE_MS = 300
/** Peers that try one address. */
const OPINIONS = 2
const TRY_MS = 4000
const ANSWER_MS = 8000

export interface ReachProbeOptions {
  node: Libp2pNode
  network: Pick<Network, 'call' | 'handle'>
  own: OwnAddresses
  rules: DialRules
  /** What is known of an address has changed. */
  changed(): void
  logger: Logger | undefined
}

/**
 * Which of our addresses work? Peers elsewhere are asked to try: only they know. Only a peer out in the
 * world can tell about an address of the world, and one of our network about one of that.
 */
export class ReachProbe {
  readonly #options: ReachProbeOptions
  readonly #budget = new CallbackBudget()
  /** Who was asked what and has answered; an address may be asked about again after a while. */
  readonly #asked = new Map<string, Set<string>>()
  readonly #stop = new AbortController()
  #timer: NodeJS.Timeout | undefined
  #again: NodeJS.Timeout | undefined
  #settled = false
  readonly #onIdentify = ({ detail }: CustomEvent<IdentifyResult>): void => {
    const { connection, observedAddr } = detail
    if (rankOf(connection) < RANK.direct) return
    const host = observedAddr === undefined ? undefined : hostOf(observedAddr)
    if (host !== undefined && addressReach(observedAddr!) === REACH.world) {
      this.#options.own.seenAt(host)
    }
    this.soon()
  }

  constructor(options: ReachProbeOptions) {
    this.#options = options
    options.network.handle('peer.probe', (params, { peer }) => this.#answer(params, peer))
  }

  start(): void {
    this.#options.node.addEventListener('peer:identify', this.#onIdentify)
    this.#again = setInterval(() => {
      this.#asked.clear()
      this.soon()
    }, LIMITS.probeEveryMs).unref()
  }

  stop(): void {
    this.#stop.abort()
    this.#options.node.removeEventListener('peer:identify', this.#onIdentify)
    clearTimeout(this.#timer)
    clearInterval(this.#again)
  }

  /** Whether everybody who could tell has been asked once. */
  get settled(): boolean {
    return this.#settled
  }

  soon(): void {
    if (this.#stop.signal.aborted) return
    this.#timer ??= setTimeout(() => {
      void this.round().finally(() => {
        this.#timer = undefined
      })
    }, PAUSE_MS).unref()
  }

  /** Asks those who can tell about the addresses of which too few have told. Never throws. */
  async round(): Promise<void> {
    const wanted = new Map<string, { peer: string; addresses: string[] }>()
    for (const { address } of this.#options.own.all()) {
      const text = address.toString()
      const asked = this.#asked.get(text) ?? new Set()
      for (const peer of this.#judges(address)) {
        if (asked.size >= OPINIONS) break
        if (asked.has(peer)) continue
        this.#asked.set(text, asked.add(peer))
        const wish = wanted.get(peer) ?? { peer, addresses: [] }
        wanted.set(peer, wish)
        if (wish.addresses.length < LIMITS.addressesPerPeer) wish.addresses.push(text)
      }
    }
    await Promise.all(wanted.values().map((wish) => this.#ask(wish)))
    this.#settled = true
    if (wanted.size > 0) this.#options.changed()
  }

  async #ask({ peer, addresses }: { peer: string; addresses: string[] }): Promise<void> {
    const { network, own, logger } = this.#options
    try {
      const { results } = await network.call(
        peer,
        'peer.probe',
        { addresses },
        { signal: this.#stop.signal, timeoutMs: ANSWER_MS },
      )
      for (const [at, result] of results.entries()) {
        const address = addresses[at]
        if (result !== null && address !== undefined) own.judge(address, peer, result)
      }
    } catch (error) {
      logger?.debug('a peer did not try our addresses', { peer, error: String(error) })
    }
  }

  /** Peers that can tell about an address: elsewhere, and as far away as it is to be reached from. */
  #judges(address: Multiaddr): string[] {
    const reach = addressReach(address)
    if (reach < REACH.site) return []
    const own = new Set(this.#options.own.all().map((each) => hostOf(each.address)))
    return this.#options.node
      .getConnections()
      .filter((connection) => rankOf(connection) === RANK.direct)
      .filter(({ remoteAddr }) => {
        const host = hostOf(remoteAddr)
        return host !== undefined && !own.has(host) && addressReach(remoteAddr) === reach
      })
      .map(({ remotePeer }) => remotePeer.toString())
  }

  /** Tries addresses of a peer, those alone that it comes from, or of the network that both are in. */
  async #answer(
    { addresses }: RpcParams<'peer.probe'>,
    peer: string,
  ): Promise<RpcResult<'peer.probe'>> {
    const { node } = this.#options
    const from = bestConnection(node.getConnections(peerIdOf(peer)))
    const host = from === undefined ? undefined : hostOf(from.remoteAddr)
    const plain = dialable(addresses, peer, from?.remoteAddr).filter((address) => {
      return hostOf(address) === host || addressReach(address) < REACH.world
    })
    const targets = await allowed(plain, this.#options.rules, peer)
    const nothing = { results: addresses.map(() => null) }
    if (from === undefined || rankOf(from) < RANK.direct || targets.length === 0) return nothing
    const tried = await this.#budget.spend(peer, LIMITS.callbacksPerPeer, async () => {
      const results = await Promise.all(targets.map((address) => this.#try(address)))
      return new Map(targets.map((address, at) => [address.toString(), results[at] ?? null]))
    })
    return tried === undefined
      ? nothing
      : { results: addresses.map((address) => tried.get(address) ?? null) }
  }

  async #try(address: Multiaddr): Promise<{ reached: boolean; why?: string }> {
    const { inside } = this.#options.node.services
    let connection: Connection | undefined
    try {
      const signal = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(TRY_MS)])
      connection = await inside.dial(address, signal)
      return { reached: true }
    } catch (error) {
      return { reached: false, why: plainCause(error).slice(0, 256) }
    } finally {
      connection?.close().catch((error) => connection?.abort(error))
    }
  }
}
