import { TRANSFER } from '../artifacts/transfer-limits.ts'
import { ManyhandsError, toManyhandsError } from '../errors.ts'
import { REACH, reachOf } from '../network/host-reach.ts'
import type { FrameStream, Logger, Network } from '../network/network.ts'
import { PROTOCOLS } from '../wire/protocols.ts'
import { BlockSet } from './block-set.ts'
import type { Download } from './download.ts'
import { GuardedStream } from './guarded-stream.ts'
import { type LaneEvents, type ReceivingLane, streamLane, threadLane } from './receiving-lane.ts'
import { checkRelay } from './relay-limit.ts'
import type { SideSockets } from './side-sockets.ts'
import { FRAME } from './transfer-frames.ts'
import {
  type Found,
  openFrame,
  readFailed,
  readFound,
  readHave,
  readPeers,
  type SwarmPeer,
} from './transfer-messages.ts'

export interface SourcesOptions {
  network: Network
  root: string
  /** Bytes of its content. */
  size: number
  download: Download
  sockets: SideSockets
  found: Found
  shares: boolean
  stallMs: number
  signal: AbortSignal
  logger: Logger | undefined
}

/**
 * Whom a download has its content from: who was named first, and others that it tells of. From each,
 * news are heard over a stream of the connection, and content comes over lanes.
 */
export class Sources {
  readonly #options: SourcesOptions
  readonly #streams = new Set<FrameStream>()
  readonly #known = new Set<string>()
  /** How often each of the others was asked; who cannot be reached is asked again when it is told of again. */
  readonly #asked = new Map<string, number>()
  #closed = false

  constructor(options: SourcesOptions) {
    this.#options = options
    this.#known.add(options.network.peerId)
  }

  /** Takes the stream over which the manifest came. */
  origin(stream: FrameStream): void {
    const { download, found } = this.#options
    const { peer } = stream
    this.#known.add(peer)
    const has = found.partial ? new BlockSet(download.blocks) : undefined
    download.addProvider({
      peer,
      origin: true,
      has,
      lanes: download.lanes,
      openLane: (events) => this.#openLane(stream, undefined, events),
    })
    void this.#hear(stream, has)
  }

  close(): void {
    this.#closed = true
    for (const stream of this.#streams) {
      // An end, not a cut: what was fetched is here, and may be had from us.
      stream.close().catch(() => {})
      setTimeout(() => stream.abort(), TRANSFER.goodbyeMs).unref()
    }
  }

  /** Reads news until there are no more. Never throws. */
  async #hear(stream: FrameStream, has: BlockSet | undefined): Promise<void> {
    const { download } = this.#options
    const { peer } = stream
    this.#streams.add(stream)
    let idle = 0
    try {
      for (;;) {
        const frame = await stream.next()
        if (frame === undefined) throw new ManyhandsError('PEER_GONE', `${peer} has gone`)
        if (frame[0] === FRAME.have && idle++ < TRANSFER.idleNews) {
          has?.take(readHave(frame), () => {
            idle = 0
          })
          if (idle === 0) download.poke(peer)
        } else if (frame[0] === FRAME.peers && download.provider(peer)?.origin === true) {
          for (const other of readPeers(frame)) this.#meet(other, stream)
        } else throw unasked(frame, peer)
      }
    } catch (error) {
      if (!this.#closed) download.provider(peer)?.drop(toManyhandsError(error))
      stream.abort(error)
    } finally {
      this.#streams.delete(stream)
    }
  }

  /** Another one fetches the same: asks it for what it has. */
  #meet({ peer, addresses }: SwarmPeer, teller: FrameStream): void {
    const { found, shares, logger } = this.#options
    if (this.#known.has(peer) || this.#known.size > TRANSFER.swarmPeers) return
    if (found.ticket === undefined || !shares) return
    const asked = this.#asked.get(peer) ?? 0
    // Nobody makes us knock at doors without end.
    if (asked >= TRANSFER.askTries || this.#asked.size >= TRANSFER.peersMet) return
    this.#asked.set(peer, asked + 1)
    this.#known.add(peer)
    this.#ask(peer, addresses, teller, found.ticket).catch((error) => {
      this.#known.delete(peer)
      logger?.debug('another one that fetches the same cannot be asked', { peer, error })
    })
  }

  async #ask(
    peer: string,
    addresses: string[],
    teller: FrameStream,
    ticket: string,
  ): Promise<void> {
    const { network, root, size, download, signal, stallMs } = this.#options
    if (!network.isConnected(peer)) await this.#reach(peer, addresses, teller)
    const stream = await network.openStream(peer, PROTOCOLS.artifacts, { signal })
    const guarded = new GuardedStream(stream, stallMs)
    try {
      checkRelay(stream, size)
      await guarded.send(openFrame({ v: 2, kind: 'news', root, ticket }))
      const { partial } = readFound(await guarded.expect())
      if (this.#closed) throw new ManyhandsError('CANCELED', 'the transfer is over')
      const has = new BlockSet(download.blocks)
      if (partial !== true) has.fill()
      download.addProvider({
        peer,
        origin: false,
        has,
        lanes: 1,
        openLane: (events) => this.#openLane(stream, ticket, events),
      })
      void this.#hear(stream, has)
    } catch (error) {
      guarded.fail(error)
      throw error
    }
  }

  /**
   * Dials where the teller says: the world, and networks like ours, where the others of an office are;
   * but this computer, and what is on the link alone, only for a teller that is as near.
   */
  async #reach(peer: string, addresses: string[], teller: FrameStream): Promise<void> {
    const { network, signal } = this.#options
    const near = reachOf(teller.route?.remoteHost ?? '')
    const least = near === REACH.nowhere ? REACH.site : Math.min(near, REACH.site)
    let failure: unknown = new ManyhandsError('CONNECT_FAILED', `no address of ${peer} is known`)
    for (const address of addresses) {
      const [, host, named] = PLAIN_ADDRESS.exec(address) ?? []
      if (host === undefined || named !== peer || reachOf(host) < least) continue
      try {
        await network.connect(address, { signal, told: { by: teller.peer } })
        return
      } catch (error) {
        failure = error
      }
    }
    throw failure
  }

  /** @param beside - a stream over the connection that the lane is to lie beside */
  async #openLane(
    beside: FrameStream,
    ticket: string | undefined,
    events: LaneEvents,
  ): Promise<ReceivingLane> {
    const { network, sockets, root, size, signal, stallMs } = this.#options
    const { peer, route } = beside
    const start = { peer, wanted: { root, ticket }, stallMs }
    const direct = route?.kind === 'direct' && route.remoteHost !== undefined
    const port = direct ? await sockets.open(network, peer, signal) : undefined
    if (port !== undefined) return threadLane(port, 'socket', start, events)
    const stream = await network.openStream(peer, PROTOCOLS.artifacts, { signal })
    try {
      checkRelay(stream, size)
    } catch (error) {
      stream.abort(error)
      throw error
    }
    return streamLane(stream, start, events)
  }
}

/** Addresses and no names, of which nobody knows what they stand for. */
const PLAIN_ADDRESS = /^\/ip[46]\/([^/]+)\/tcp\/\d+(?:\/ws)?\/p2p\/([^/]+)$/

/** @throws what a `failed` frame carries; PROTOCOL */
function unasked(frame: Uint8Array, peer: string): ManyhandsError {
  if (frame[0] === FRAME.failed) return readFailed(frame)
  return new ManyhandsError('PROTOCOL', `peer ${peer} sent news that nobody wants`)
}
