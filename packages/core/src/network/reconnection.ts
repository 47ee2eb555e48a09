import type { Connection, PeerId } from '@libp2p/interface'
import { byteStream } from '@libp2p/utils'
import type { Multiaddr } from '@multiformats/multiaddr'
import { LIMITS } from '../limits.ts'
import type { Libp2pNode } from './libp2p-node.ts'
import { kindOf } from './peer-connection.ts'
import { peerIdOf } from './peer-id.ts'

/** The protocol of libp2p that everybody answers: what is sent comes back. */
const PING = '/ipfs/ping/1.0.0'
const PING_BYTES = 32
/** An older connection has so long to answer, ms. */
const ANSWER_MS = 2000
/** One of so many tries goes to where a peer says that it is, in place of where it was. */
const ELSEWHERE = 3

/**
 * Takes care that connections that are dead and do not know it stand in nobody's way. The kernel finds out
 * minutes later: whoever expects something of a peer asks for a new connection, which takes the place of
 * the old ones; and when a peer comes with a new one, its old ones have to answer or go.
 */
export class Reconnection {
  readonly #node: Libp2pNode
  readonly #replaced: (peer: string) => void
  /** Where a peer was found last by us, and how often it was not found there since; the oldest first. */
  readonly #places = new Map<string, { address: Multiaddr; failures: number }>()
  readonly #asking = new Set<string>()
  readonly #closing = new AbortController()
  readonly #onOpen = ({ detail: connection }: CustomEvent<Connection>): void => {
    if (connection.direction === 'outbound') this.#remember(connection)
    else this.#askOthers(connection)
  }

  /** @param replaced - told of a peer of which a new connection has taken the place of others */
  constructor(node: Libp2pNode, replaced: (peer: string) => void) {
    this.#node = node
    this.#replaced = replaced
    node.addEventListener('connection:open', this.#onOpen)
  }

  close(): void {
    this.#closing.abort()
    this.#node.removeEventListener('connection:open', this.#onOpen)
  }

  /**
   * Makes another connection beside what there is, and ends that. While it is made, what there is may be
   * used.
   *
   * @param elsewhere - where else a peer may be than where it was last
   * @throws as a dial
   */
  async renew(
    peer: string,
    elsewhere: () => Promise<Multiaddr[] | PeerId>,
    signal: AbortSignal,
  ): Promise<void> {
    const place = this.#places.get(peer)
    const here = place !== undefined && place.failures % ELSEWHERE < ELSEWHERE - 1
    const older = this.#node.getConnections(peerIdOf(peer))
    if (place !== undefined) place.failures += 1
    const target = here ? place.address : await elsewhere()
    const connection = await this.#node.dial(target, { signal, force: true })
    const left = older.filter((one) => one !== connection && one.status === 'open')
    for (const one of left) one.abort(new Error('another connection has taken its place'))
    if (left.length > 0) this.#replaced(peer)
  }

  /** Gives up all connections to a peer at once, without a word that nobody would hear. */
  drop(peer: string): void {
    for (const connection of this.#node.getConnections(peerIdOf(peer))) {
      connection.abort(new Error('the peer does not answer any more'))
    }
  }

  #remember(connection: Connection): void {
    // What a relay or a browser's way led to is found again by those who found it.
    if (kindOf(connection) !== 'direct') return
    const peer = connection.remotePeer.toString()
    this.#places.delete(peer)
    this.#places.set(peer, { address: connection.remoteAddr, failures: 0 })
    for (const oldest of this.#places.keys()) {
      if (this.#places.size <= LIMITS.connections) break
      this.#places.delete(oldest)
    }
  }

  #askOthers(connection: Connection): void {
    const peer = connection.remotePeer.toString()
    const older = this.#node
      .getConnections(connection.remotePeer)
      .filter((one) => one !== connection)
    // One round at a time: nobody makes us ask without end.
    if (older.length === 0 || this.#asking.has(peer)) return
    this.#asking.add(peer)
    const signal = AbortSignal.any([this.#closing.signal, AbortSignal.timeout(ANSWER_MS)])
    void Promise.all(older.map((one) => answers(one, signal)))
      .then((alive) => {
        if (this.#closing.signal.aborted) return
        const dead = older.filter((one, index) => !alive[index] && one.status === 'open')
        for (const one of dead)
          one.abort(new Error('the peer has come anew and is not here any more'))
        if (dead.length > 0) this.#replaced(peer)
      })
      .finally(() => this.#asking.delete(peer))
  }
}

/** Whether a peer answers over a connection. */
async function answers(connection: Connection, signal: AbortSignal): Promise<boolean> {
  try {
    const stream = await connection.newStream(PING, { signal, runOnLimitedConnection: true })
    try {
      const bytes = byteStream(stream)
      await bytes.write(new Uint8Array(PING_BYTES), { signal })
      await bytes.read({ bytes: PING_BYTES, signal })
    } finally {
      stream.abort(new Error('it has answered'))
    }
    return true
  } catch {
    return false
  }
}
