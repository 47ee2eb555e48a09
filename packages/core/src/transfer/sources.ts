import { TRANSFER } from '../artifacts/transfer-limits.ts'
import { ManyhandsError, toManyhandsError } from '../errors.ts'
import type { FrameStream, Logger, Network } from '../network/network.ts'
import { PROTOCOLS } from '../wire/protocols.ts'
import { BlockSet } from './block-set.ts'
import type { Download } from './download.ts'
import { GuardedStream } from './guarded-stream.ts'
import { type LaneEvents, type ReceivingLane, streamLane, threadLane } from './receiving-lane.ts'
import type { SideSockets } from './side-sockets.ts'
import { FRAME } from './transfer-frames.ts'
import {
  body,
  type Found,
  openFrame,
  readFound,
  readHave,
  readPeers,
  type SwarmPeer,
} from './transfer-messages.ts'

export interface SourcesOptions {
  network: Network
  root: string
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
  #closed = false

  constructor(options: SourcesOptions) {
    this.#options = options
    this.#known.add(options.network.peerId)
  }

  /** Takes the stream over which the manifest came. */
  origin(stream: FrameStream, missing: number): void {
    const { download, found } = this.#options
    const { peer } = stream
    this.#known.add(peer)
    const has = found.partial ? new BlockSet(download.blocks) : undefined
    download.addProvider({
      peer,
      origin: true,
      has,
      lanes: missing > TRANSFER.secondLaneBytes ? TRANSFER.lanesPerPeer : 1,
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
    try {
      for (;;) {
        const frame = await stream.next()
        if (frame === undefined) throw new ManyhandsError('PEER_GONE', `${peer} has gone`)
        if (frame[0] === FRAME.have && has !== undefined) {
          has.take(readHave(frame), () => {})
          download.poke(peer)
        } else if (frame[0] === FRAME.peers && download.provider(peer)?.origin === true) {
          for (const other of readPeers(frame)) this.#meet(other, stream)
        } else body(frame, FRAME.have)
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
    const { network, root, download, signal, stallMs } = this.#options
    if (!network.isConnected(peer)) await this.#reach(peer, addresses, teller)
    const stream = await network.openStream(peer, PROTOCOLS.artifacts, { signal })
    const guarded = new GuardedStream(stream, stallMs)
    try {
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

  /** Dials where the teller says; never this computer on the word of another one. */
  async #reach(peer: string, addresses: string[], teller: FrameStream): Promise<void> {
    const { network, signal } = this.#options
    const near = isLoopback(teller.route?.remoteHost ?? '')
    let failure: unknown = new ManyhandsError('CONNECT_FAILED', `no address of ${peer} is known`)
    for (const address of addresses) {
      const host = address.split('/')[2] ?? ''
      if (!address.endsWith(`/p2p/${peer}`) || (isLoopback(host) && !near)) continue
      try {
        await network.connect(address, { signal })
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
    const { network, sockets, root, signal, stallMs } = this.#options
    const { peer, route } = beside
    const start = { peer, wanted: { root, ticket }, stallMs }
    const direct = route?.kind === 'direct' && route.remoteHost !== undefined
    const port = direct ? await sockets.open(network, peer, signal) : undefined
    if (port !== undefined) return threadLane(port, 'socket', start, events)
    return streamLane(
      await network.openStream(peer, PROTOCOLS.artifacts, { signal }),
      start,
      events,
    )
  }
}

function isLoopback(host: string): boolean {
  return host === '::1' || host === 'localhost' || host.startsWith('127.')
}
