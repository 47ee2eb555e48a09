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

/** Makes connections to peers and opens streams over them, each within a time. */
export class PeerDialer {
  readonly #node: Libp2pNode
  readonly #rules: DialRules
  readonly #addressesOf: (peer: string) => string[]
  readonly #refusalOf: (thrown: unknown) => Error | undefined
  #closed = false

  /**
   * @param addressesOf - where a peer says that it can be reached
   * @param refusalOf - what a peer has said when it let us not in
   */
  constructor(
    node: Libp2pNode,
    rules: DialRules,
    addressesOf: (peer: string) => string[],
    refusalOf: (thrown: unknown) => Error | undefined = () => undefined,
  ) {
    this.#node = node
    this.#rules = rules
    this.#addressesOf = addressesOf
    this.#refusalOf = refusalOf
  }

  close(): void {
    this.#closed = true
  }

  /**
   * Connects to an address; who was found there.
   *
   * @param told - a peer told it, and is not trusted to send us anywhere
   * @throws ADDRESS_INVALID, CONNECT_FAILED, CLOSED
   */
  async address(
    address: string,
    { signal, told }: { signal?: AbortSignal; told?: { by?: string } } = {},
  ): Promise<string> {
    const [target] = await parseAddresses([address])
    if (told !== undefined && !(await this.#rules.allows(target!, told.by))) {
      throw new ManyhandsError(
        'CONNECT_FAILED',
        `${address} is of a private network that this computer is not in`,
      )
    }
    this.#rules.name(target!, { told: told !== undefined })
    const connection = await this.bounded(address, signal, (bounded) =>
      this.#node.dial(target!, { signal: bounded }),
    )
    return connection.remotePeer.toString()
  }

  /** Connects to a peer of which it is known where it is. @throws CONNECT_FAILED, CLOSED */
  async peer(peer: string, signal?: AbortSignal): Promise<void> {
    await this.bounded(peer, signal, (bounded) => this.#connection(peer, bounded))
  }

  /** Opens a stream to a peer, over the connection to it or a new one. */
  stream(
    peer: string,
    protocol: string,
    signal?: AbortSignal,
  ): Promise<{ stream: Stream; connection: Connection }> {
    return this.bounded(peer, signal, async (bounded) => {
      const streams = { signal: bounded, maxOutboundStreams: LIMITS.streamsPerPeer }
      const begin = async (connection: Connection) => ({
        connection,
        stream: await connection.newStream(namesOf(protocol), streams),
      })
      try {
        return await begin(await this.#connection(peer, bounded)).catch(async (error) => {
          // It was closing already, and nobody had been told: another one is made.
          if ((error as Error).name !== 'ConnectionClosedError') throw error
          return begin(await this.#redial(peer, bounded))
        })
      } catch (error) {
        const refused = (error as Error | undefined)?.name === 'UnsupportedProtocolError'
        const differ = refused && versionsDiffer(peer, await protocolsOf(this.#node, peer))
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
    if (this.#closed) throw networkClosed()
    signal?.throwIfAborted()
    const timeout = AbortSignal.timeout(LIMITS.dialTimeoutMs)
    try {
      return await work(signal === undefined ? timeout : AbortSignal.any([signal, timeout]))
    } catch (error) {
      signal?.throwIfAborted()
      throw this.#closed ? networkClosed() : connectFailed(where, this.#refusalOf(error) ?? error)
    }
  }

  async #connection(peer: string, signal: AbortSignal): Promise<Connection> {
    const id = peerIdOf(peer)
    // The newest: an older one may be dead and not know it.
    const open = this.#node.getConnections(id).findLast(({ status }) => status === 'open')
    return open ?? (await this.#node.dial((await this.#offered(peer)) ?? id, { signal }))
  }

  async #redial(peer: string, signal: AbortSignal): Promise<Connection> {
    const target = (await this.#offered(peer)) ?? peerIdOf(peer)
    return this.#node.dial(target, { signal, force: true })
  }

  /** What to dial to find a peer: where it says that it is, or wherever it was before. */
  async whereIs(peer: string, addresses: readonly string[]): Promise<Multiaddr[] | PeerId> {
    const said = await parseAddresses(addresses).catch(() => [])
    const own = said.filter((address) => peerOfAddress(address) === peer)
    return own.length > 0 ? own : ((await this.#offered(peer)) ?? peerIdOf(peer))
  }

  /** Where a peer that is known by its offer alone can be reached. */
  async #offered(peer: string): Promise<Multiaddr[] | undefined> {
    const parsed = await parseAddresses(this.#addressesOf(peer)).catch(() => [])
    const own: Multiaddr[] = []
    for (const address of parsed) {
      if (peerOfAddress(address) !== peer || !(await this.#rules.allows(address))) continue
      this.#rules.name(address, { told: true })
      own.push(address)
    }
    return own.length > 0 ? own : undefined
  }
}
