import type { Connection } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { PROTOCOLS } from '../../wire/protocols.ts'
import type { DialRules } from '../dial-rules.ts'
import type { Libp2pNode } from '../libp2p-node.ts'
import type { Logger } from '../network.ts'
import { peerIdOf } from '../peer-id.ts'
import { allowed, dialable } from './address-judgement.ts'
import type { Callbacks } from './callbacks.ts'
import { RANK, rankOf, relayOfAddress } from './connection-rank.ts'

/** A circuit has to prove useful first: what is over at once need not be improved. ms */
const SETTLE_MS = 200
/** How long both sides have to notice the better connection before the relayed one goes, ms. */
const HANDOVER_MS = 3000
const LOOK_AGAIN_MS = 1000
const UPGRADE_MS = 10_000
/** Peers find a way by WebRTC within that time, or there is none. */
const MEETING_MS = 20_000
/** When a meeting that came to nothing is tried once more. */
const MEET_AGAIN_MS = 5000

export interface DirectUpgradeOptions {
  node: Libp2pNode
  callbacks: Callbacks
  rules: DialRules
  dial(addresses: readonly Multiaddr[], signal: AbortSignal): Promise<Connection>
  /** Requests that are under way over a connection. */
  requestsOn(connection: Connection): number
  logger: Logger | undefined
}

/**
 * What is relayed becomes direct where it can: who made a circuit has its peer call back, or calls the
 * peer where that says it can be reached. When a direct connection stands, new streams take it, and the
 * relayed one goes as soon as nothing is lost with it.
 */
export class DirectUpgrade {
  readonly #options: DirectUpgradeOptions
  readonly #stop = new AbortController()
  readonly #trying = new Set<string>()
  /** Peers that were not met by WebRTC at the first try. */
  readonly #triedAgain = new Set<string>()
  readonly #timers = new Set<NodeJS.Timeout>()

  constructor(options: DirectUpgradeOptions) {
    this.#options = options
  }

  stop(): void {
    this.#stop.abort()
    for (const timer of this.#timers) clearTimeout(timer)
  }

  opened(connection: Connection): void {
    const peer = connection.remotePeer.toString()
    if (rankOf(connection) >= RANK.webrtc) this.#later(HANDOVER_MS, () => this.#retire(peer))
    else if (connection.direction === 'outbound') this.#later(SETTLE_MS, () => this.improve(peer))
  }

  /** Tries again with all peers that are reached over relays alone: something has changed. */
  improveAll(): void {
    const peers = this.#options.node.getConnections().map(({ remotePeer }) => remotePeer.toString())
    for (const peer of new Set(peers)) this.improve(peer)
  }

  improve(peer: string): void {
    if (this.#stop.signal.aborted || this.#trying.has(peer)) return
    const connections = this.#of(peer)
    if (connections.length === 0 || this.#isDirect(peer)) return
    this.#trying.add(peer)
    this.#improve(peer)
      .catch((error) => {
        this.#options.logger?.debug('no WebRTC connection', { peer, error: String(error) })
        // Packets are lost, and computers busy. Routers that do not fit will not the next time, either.
        if (!this.#triedAgain.delete(peer)) {
          this.#triedAgain.add(peer)
          this.#later(MEET_AGAIN_MS, () => this.improve(peer))
        }
      })
      .finally(() => this.#trying.delete(peer))
  }

  /** One that is called directly by either side, else one by WebRTC. */
  async #improve(peer: string): Promise<void> {
    const signal = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(UPGRADE_MS)])
    try {
      await this.#call(peer, signal)
    } catch (error) {
      this.#options.logger?.debug('no direct way beside a relay', { peer, error: String(error) })
    }
    const relayed = this.#of(peer)[0]
    if (relayed === undefined || this.#isDirect(peer) || this.#stop.signal.aborted) return
    const meeting = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(MEETING_MS)])
    await this.#options.node.services.inside.meet(relayed, meeting)
  }

  async #call(peer: string, signal: AbortSignal): Promise<void> {
    const { callbacks, dial, rules } = this.#options
    const theirs = await callbacks.overRelay(peer, signal)
    const [over] = this.#of(peer)
    if (over === undefined || this.#isDirect(peer)) return
    const plain = dialable(theirs, peer, over.remoteAddr)
    const addresses = await allowed(plain, rules, relayOfAddress(over.remoteAddr) ?? peer)
    if (addresses.length > 0) await dial(addresses, signal)
  }

  #isDirect(peer: string): boolean {
    return this.#of(peer).some((each) => rankOf(each) >= RANK.webrtc)
  }

  /** Ends what is relayed to a peer when a better way is there, and nothing runs on it any more. */
  #retire(peer: string): void {
    const connections = this.#of(peer)
    if (!this.#isDirect(peer)) return
    const relayed = connections.filter((each) => rankOf(each) < RANK.webrtc)
    for (const connection of relayed) {
      if (this.#isBusy(connection)) continue
      connection.close().catch((error) => connection.abort(error))
    }
    if (relayed.length > 0) this.#later(LOOK_AGAIN_MS, () => this.#retire(peer))
  }

  /** Event streams are opened again elsewhere by themselves; transfers and requests are waited for. */
  #isBusy(connection: Connection): boolean {
    const transfers = connection.streams.some(({ protocol }) => protocol === PROTOCOLS.artifacts)
    return transfers || this.#options.requestsOn(connection) > 0
  }

  #of(peer: string): Connection[] {
    return this.#options.node
      .getConnections(peerIdOf(peer))
      .filter(({ status }) => status === 'open')
  }

  #later(ms: number, work: () => void): void {
    if (this.#stop.signal.aborted) return
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      work()
    }, ms).unref()
    this.#timers.add(timer)
  }
}
