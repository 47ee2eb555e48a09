import { join } from 'node:path'
import { ManyhandsError } from '../errors.ts'
import type { Logger, Network } from '../network/network.ts'
import type { Download } from '../transfer/download.ts'
import { fetchArtifact } from '../transfer/fetch-artifact.ts'
import { inspectArtifact } from '../transfer/inspect-artifact.ts'
import { LaneThreads } from '../transfer/lane-threads.ts'
import { SideSockets } from '../transfer/side-sockets.ts'
import { Swarms } from '../transfer/swarms.ts'
import { type Served, Uploads } from '../transfer/uploads.ts'
import { PROTOCOLS } from '../wire/protocols.ts'
import { type ArtifactContent, partialContent } from './artifact-content.ts'
import type { Artifact, TransferSource } from './artifact-store.ts'
import type { ContentFiles } from './content-files.ts'
import type { DamagedArtifacts } from './damaged-artifacts.ts'
import type { DurableDirectory } from './durable-directory.ts'
import type { FileClaims } from './file-claims.ts'
import type { LocalChunks } from './local-chunks.ts'
import type { ManifestFiles } from './manifest-files.ts'
import { SharedFetches, tooLarge } from './shared-fetches.ts'
import type { StoreWater } from './store-water.ts'
import type { TransferGovernor } from './transfer-governor.ts'
import { TRANSFER } from './transfer-limits.ts'

export interface ExchangeOptions {
  logger?: Logger
  /** Asked for all content that is sent or received; default: nothing is counted or held up. */
  governor?: TransferGovernor
  /** How long a peer may let a transfer stall before it is given up, ms; default 30 s. */
  stallMs?: number
  /** Whether others that fetch the same artifact may have of us what we have of it; default yes. */
  shares?: () => boolean
  /** Hears over what the content of each transfer comes, as `onSource` of a fetch does. */
  onSource?: (root: string, source: TransferSource) => void
}

export interface FetchOptions {
  signal?: AbortSignal
  maxBytes?: number
  onProgress?: (bytes: number, total?: number) => void
  onSource?: (source: TransferSource) => void
}

/** Rooms of the store that an exchange works in. */
export interface ExchangeParts extends ExchangeOptions {
  partDir: string
  contents: ContentFiles
  durable: DurableDirectory
  manifests: ManifestFiles
  claims: FileClaims
  local: LocalChunks
  damaged: DamagedArtifacts
  water: StoreWater
  /** What is here, whole. */
  content(root: string): Promise<ArtifactContent | undefined>
}

/** Who has what: brings artifacts into the store and gives them to peers, those on their way too. */
export class ArtifactExchange {
  readonly #parts: ExchangeParts
  readonly #fetches = new SharedFetches()
  readonly #running = new Map<string, { download: Download; artifact: Artifact }>()
  readonly #swarms = new Swarms()
  readonly #threads = new LaneThreads()
  readonly #sockets: SideSockets
  readonly #closing = new AbortController()

  constructor(parts: ExchangeParts) {
    this.#parts = parts
    this.#sockets = new SideSockets(this.#threads, parts.logger)
  }

  /** Callers that want the same share a transfer; when that of another peer fails, ours is tried. */
  async fetch(
    root: string,
    from: { network: Network; peer: string },
    options: FetchOptions,
  ): Promise<Artifact> {
    const { damaged, water } = this.#parts
    const { signal, maxBytes } = options
    for (;;) {
      if (this.#closing.signal.aborted) throw this.#closing.signal.reason
      signal?.throwIfAborted()
      const content = damaged.isIncomplete(root) ? undefined : await this.#parts.content(root)
      if (content !== undefined) {
        const { artifact } = content
        if (maxBytes === undefined || artifact.size <= maxBytes) return artifact
        throw tooLarge(artifact.size, maxBytes)
      }
      const other = this.#fetches.peerOf(root)
      try {
        const artifact = await this.#fetches.join(root, from.peer, options, (events) =>
          fetchArtifact(root, {
            ...this.#parts,
            ...from,
            ...events,
            onSource: (source) => {
              events.onSource(source)
              this.#parts.onSource?.(root, source)
            },
            sockets: this.#sockets,
            swarms: this.#swarms,
            governor: this.#parts.governor,
            shares: this.#parts.shares?.() ?? true,
            running: this.#running,
            stallMs: this.#stallMs,
            logger: this.#parts.logger,
          }),
        )
        await damaged.mend()
        return artifact
      } catch (error) {
        water.stir()
        // Another peer's transfer failed; that says nothing about ours.
        const joined = other !== undefined && other !== from.peer
        if (!joined || signal?.aborted || this.#closing.signal.aborted) throw error
        if (error instanceof ManyhandsError && error.code === 'LIMIT') throw error
      }
    }
  }

  /** What an artifact of a peer consists of. Nothing of it stays here. */
  async inspect(
    root: string,
    { network, peer }: { network: Network; peer: string },
    { signal }: { signal?: AbortSignal },
  ): Promise<Artifact> {
    const closing = this.#closing.signal
    return await inspectArtifact(root, {
      network,
      peer,
      stallMs: this.#stallMs,
      signal: signal === undefined ? closing : AbortSignal.any([signal, closing]),
    })
  }

  async serve(
    network: Network,
    allow: (peer: string, root: string) => boolean,
    sent: (root: string, bytes: number, peer: string) => void,
  ): Promise<void> {
    const uploads = new Uploads({
      find: (peer, root, ticket) => this.#find(peer, root, ticket, allow),
      swarms: this.#swarms,
      governor: this.#parts.governor,
      expect: () => this.#sockets.expect(),
      sent,
      suspect: (root) => void this.#suspect(root),
      stallMs: this.#stallMs,
      logger: this.#parts.logger,
    })
    const onDisconnect = (event: Event) => {
      const peer = (event as CustomEvent<string>).detail
      this.#swarms.forget(peer)
      this.#sockets.cut(peer)
    }
    const { signal } = this.#closing
    network.addEventListener?.('peer:disconnect', onDisconnect, { signal })
    // What lies beside a connection that was dead is as dead as that.
    const onReconnect = (event: Event) => this.#sockets.cut((event as CustomEvent<string>).detail)
    network.addEventListener?.('peer:reconnect', onReconnect, { signal })
    await network.handleStream(PROTOCOLS.artifacts, (stream) => uploads.serve(stream))
    await network.handleStream(PROTOCOLS.bulk, (control) =>
      this.#sockets.answer(control, (port) => uploads.lane(control.peer, port)),
    )
  }

  /** Ends what comes and what goes. */
  async close(): Promise<void> {
    const closed = new ManyhandsError('CLOSED', 'the artifact store was closed')
    this.#closing.abort(closed)
    await this.#fetches.abort(closed)
    await this.#threads.close()
  }

  get #stallMs(): number {
    return this.#parts.stallMs ?? TRANSFER.stallMs
  }

  /** What a peer may have: what it is allowed, or what others of its kind have and it has the ticket of. */
  async #find(
    peer: string,
    root: string,
    ticket: string | undefined,
    allow: (peer: string, root: string) => boolean,
  ): Promise<Served | undefined> {
    if (this.#closing.signal.aborted) return undefined
    const { contents, partDir, shares } = this.#parts
    const owned = allow(peer, root)
    const shared = this.#swarms.admits(root, ticket) && (shares?.() ?? true)
    if (!owned && !shared) return undefined
    const content = await this.#parts.content(root)
    if (content !== undefined) return { content, owned }
    const running = this.#running.get(root)
    if (running === undefined) return undefined
    const { artifact, download } = running
    const partPath = (id: string) => join(partDir, `${id}.part`)
    return { content: partialContent(artifact, contents, partPath), download, owned: false }
  }

  /** Reading it for a peer failed: behind its back it is looked at whether the bytes are what they were. */
  async #suspect(root: string): Promise<void> {
    const { damaged, manifests, logger } = this.#parts
    try {
      if (!this.#closing.signal.aborted && manifests.has(root)) await damaged.examine(root)
    } catch (error) {
      logger?.warn('an artifact cannot be examined', { root, error: String(error) })
    }
  }
}
