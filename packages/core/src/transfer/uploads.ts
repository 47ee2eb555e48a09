import { MessageChannel, type MessagePort } from 'node:worker_threads'
import type { ArtifactContent } from '../artifacts/artifact-content.ts'
import type { ManifestFile } from '../artifacts/artifact-store.ts'
import type { TransferGovernor } from '../artifacts/transfer-governor.ts'
import { TRANSFER } from '../artifacts/transfer-limits.ts'
import { ManyhandsError, toManyhandsError } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import type { FrameStream, Logger } from '../network/network.ts'
import type { Download } from './download.ts'
import { FrameRing } from './frame-ring.ts'
import { GuardedStream } from './guarded-stream.ts'
import { createLaneDisk } from './lane-disk.ts'
import type { ServeCommand, ServeReport } from './lane-messages.ts'
import { type LanePort, lanePort } from './lane-port.ts'
import { NewsFeed } from './news-feed.ts'
import { ReplayedStream } from './replayed-stream.ts'
import { runServeLane, sendFarewell } from './serve-lane.ts'
import type { Swarms } from './swarms.ts'
import { bytesFrame, FRAME } from './transfer-frames.ts'
import {
  failedFrame,
  foundFrame,
  haveFrame,
  type OpenRequest,
  readOpen,
} from './transfer-messages.ts'

/** An artifact that a peer may have, whole or in part. */
export interface Served {
  content: ArtifactContent
  /** While it is on its way here itself. */
  download?: Download
  /** It is ours to say who may have it. */
  owned: boolean
}

export interface UploadsOptions {
  /** What the peer may have; undefined when it is not here or not for it. */
  find(peer: string, root: string, ticket?: string): Promise<Served | undefined>
  swarms: Swarms
  governor: TransferGovernor | undefined
  /** Content will be asked for over a lane of its own. */
  expect(): void
  /** Hears of content as it leaves. */
  sent(root: string, bytes: number, peer: string): void
  /** A file of it is not what it was when it was taken. */
  suspect(root: string): void
  stallMs: number
  logger: Logger | undefined
}

/** Gives artifacts to peers that open streams for them, and to lanes that run on other threads. */
export class Uploads {
  readonly #options: UploadsOptions
  /** Lanes over streams of this thread, by peer. */
  readonly #inline = new Map<string, number>()

  constructor(options: UploadsOptions) {
    this.#options = options
  }

  /** Answers one receiver until it ends the stream. */
  async serve(stream: FrameStream): Promise<void> {
    const guarded = new GuardedStream(stream, TRANSFER.openMs)
    try {
      const frame = await guarded.expect()
      const request = readOpen(frame)
      if (request.kind === 'lane') {
        await this.#serveInline(new ReplayedStream(stream, [frame]))
        return
      }
      guarded.allow(this.#options.stallMs)
      const served = await this.#find(stream.peer, request.root, request.ticket)
      await this.#tell(stream, guarded, request, served)
    } catch (error) {
      await sendFarewell(guarded, farewell(toManyhandsError(error)))
    }
  }

  /** Answers a lane that runs on another thread. */
  lane(peer: string, port: MessagePort, root?: string): void {
    const lane = lanePort<ServeReport, ServeCommand>(port)
    const answering = new LaneAnswers(this.#options, peer, lane, (asked, ticket) =>
      this.#find(peer, asked, ticket),
    )
    answering.start(root)
  }

  async #find(peer: string, root: string, ticket?: string): Promise<Served> {
    const served = await this.#options.find(peer, root, ticket)
    // One answer for what is unknown and for what is not allowed: a stranger learns nothing.
    if (served === undefined) {
      throw new ManyhandsError('ARTIFACT_MISSING', `${root} is not here`)
    }
    return served
  }

  async #serveInline(stream: FrameStream, root?: string): Promise<void> {
    const { port1, port2 } = new MessageChannel()
    const { peer } = stream
    this.lane(peer, port1, root)
    const others = this.#inline.get(peer) ?? 0
    this.#inline.set(peer, others + 1)
    // A stream may hold as much as its credit: with hundreds that nobody reads, that is gigabytes.
    const held = others < TRANSFER.lanesWithMemory ? 2 * LIMITS.streamCreditBytes : undefined
    const disk = createLaneDisk({ blocking: false })
    try {
      await runServeLane(stream, lanePort(port2), disk, new FrameRing(held))
    } finally {
      const left = this.#inline.get(peer)! - 1
      if (left > 0) this.#inline.set(peer, left)
      else this.#inline.delete(peer)
    }
  }

  /** The manifest, then news for as long as the receiver wants. */
  async #tell(
    stream: FrameStream,
    guarded: GuardedStream,
    { kind, root, addresses = [] }: OpenRequest,
    { content, download, owned }: Served,
  ): Promise<void> {
    const { swarms } = this.#options
    const { peer } = stream
    const bytes = kind === 'artifact' ? await content.encodedBytes() : 0
    const ticket = owned ? swarms.ticket(root) : undefined
    await guarded.send(
      foundFrame({ bytes, ticket, partial: download === undefined ? undefined : true }),
    )
    if (bytes > 0) {
      for await (const piece of content.encoded(TRANSFER.frameBytes)) {
        const frame = bytesFrame(FRAME.manifest, piece.length)
        frame.set(piece, 1)
        await guarded.send(frame)
      }
    }
    if (content.artifact.size > TRANSFER.bulkBytes) this.#options.expect()
    const feed = new NewsFeed(stream)
    const unlisten = download?.listen((blocks) => feed.blocks(blocks))
    const joins = owned && addresses.length > 0 && content.artifact.size > TRANSFER.bulkBytes
    try {
      if (download !== undefined) await guarded.send(haveFrame(download.have.encoded()))
      if (joins) swarms.join(root, { peer, addresses, tell: (peers) => feed.peers(peers) })
      // News may be long in coming; the connection itself is watched below.
      const frame = await stream.next()
      feed.end()
      if (frame !== undefined) {
        if (joins) swarms.leave(root, peer)
        await this.#serveInline(new ReplayedStream(stream, [frame]), root)
        return
      }
      await guarded.close()
    } catch (error) {
      // Whoever was cut off in the middle has nothing for the others.
      if (joins) swarms.leave(root, peer)
      throw error
    } finally {
      feed.end()
      unlisten?.()
    }
  }
}

/** Answers what a lane asks of the thread that knows the artifacts. */
class LaneAnswers {
  readonly #options: UploadsOptions
  readonly #peer: string
  readonly #port: LanePort<ServeReport, ServeCommand>
  readonly #find: (root: string, ticket?: string) => Promise<Served>
  readonly #closed = new AbortController()
  #root = ''
  #ticket: string | undefined
  #refused = false

  constructor(
    options: UploadsOptions,
    peer: string,
    port: LanePort<ServeReport, ServeCommand>,
    find: (root: string, ticket?: string) => Promise<Served>,
  ) {
    this.#options = options
    this.#peer = peer
    this.#port = port
    this.#find = find
  }

  start(root?: string): void {
    if (root !== undefined) this.#root = root
    const opened = root !== undefined
    const { stallMs, governor } = this.#options
    const most = TRANSFER.mostLotBytes
    const mostBytes = Math.min(most, governor?.lotBytes?.('up') ?? most)
    this.#port.post({ kind: 'serve', peer: this.#peer, stallMs, opened, mostBytes })
    this.#port.listen(
      (report) => void this.#take(report),
      () => this.#closed.abort(new ManyhandsError('CANCELED', 'the lane was closed')),
    )
  }

  async #take(report: ServeReport): Promise<void> {
    try {
      if (report.kind === 'opened') {
        const { root, ticket } = readOpen(report.frame)
        this.#root = root
        this.#ticket = ticket
        await this.#find(root, ticket)
        this.#port.post({ kind: 'admitted' })
      } else if (report.kind === 'locate') {
        // Looked at again for each want: what was allowed once may have been taken back.
        const { content } = await this.#find(this.#root, this.#ticket)
        const { signal } = this.#closed
        // Before it is counted: what no file has would use up what others may have.
        assertWithin(content.artifact.manifest.files, report)
        if (report.bytes > 0) {
          await this.#options.governor?.take('up', this.#peer, report.bytes, signal)
        }
        const files = await Promise.all(report.files.map((index) => content.locate(index)))
        this.#port.post({ kind: 'located', files })
      } else if (report.kind === 'sent') {
        this.#options.sent(this.#root, report.bytes, this.#peer)
      } else if (report.kind === 'failed') {
        const { error } = report
        const { code } = error
        // What we refused says nothing about our disk, and is no reason to read all of it.
        const read = code === 'ARTIFACT_MISSING' || code === 'INPUT_CHANGED'
        if (read && !this.#refused) this.#options.suspect(this.#root)
        this.#options.logger?.debug('giving an artifact ended early', { peer: this.#peer, error })
        this.#port.post({ kind: 'farewell', frame: farewell(ManyhandsError.fromJSON(error)) })
      }
    } catch (error) {
      this.#refused = true
      this.#port.post({ kind: 'fail', error: toManyhandsError(error).toJSON() })
    }
  }
}

/** @throws PROTOCOL when more of a file is wanted than there is */
function assertWithin(
  files: readonly ManifestFile[],
  wanted: { files: number[]; ends: number[] },
): void {
  for (const [at, index] of wanted.files.entries()) {
    if (wanted.ends[at]! <= (files[index]?.size ?? 0)) continue
    throw new ManyhandsError('PROTOCOL', 'a range was wanted that the artifact does not have')
  }
}

/** What a peer is told of a failure: paths of this computer are nobody else's business. */
function farewell(error: ManyhandsError): Uint8Array {
  const { code, hint, blame } = error.toJSON()
  const kept = new Set(['ARTIFACT_MISSING', 'PROTOCOL', 'LIMIT', 'TRANSFER_QUOTA'])
  const message = code === 'INPUT_CHANGED' ? 'a file changed at its source' : 'reading failed'
  return failedFrame({ code, message: kept.has(code) ? error.message : message, hint, blame })
}
