import type {
  Artifact,
  Manifest,
  ManifestFile,
  TransferSource,
} from '../artifacts/artifact-store.ts'
import { concurrently } from '../artifacts/concurrently.ts'
import type { ContentFiles } from '../artifacts/content-files.ts'
import type { FileClaims } from '../artifacts/file-claims.ts'
import { fileId, manifestSize, readManifest, rootOf } from '../artifacts/manifest.ts'
import type { ManifestFiles } from '../artifacts/manifest-files.ts'
import { type ReceivingContext, receiveFile } from '../artifacts/receiving-file.ts'
import type { TransferGovernor } from '../artifacts/transfer-governor.ts'
import { TRANSFER } from '../artifacts/transfer-limits.ts'
import { ITEMS_PER_TURN, inTurns, type Work } from '../artifacts/turns.ts'
import { ManyhandsError, toManyhandsError } from '../errors.ts'
import type { FrameStream, Logger, Network } from '../network/network.ts'
import { PROTOCOLS } from '../wire/protocols.ts'
import type { DownloadTarget } from './block-pieces.ts'
import { blocksOf } from './blocks.ts'
import { Download } from './download.ts'
import { GuardedStream } from './guarded-stream.ts'
import { streamLane } from './receiving-lane.ts'
import type { SideSockets } from './side-sockets.ts'
import { Sources } from './sources.ts'
import type { Swarms } from './swarms.ts'
import { FRAME } from './transfer-frames.ts'
import { body, type Found, openFrame, readFound } from './transfer-messages.ts'

export interface FetchContext extends ReceivingContext {
  network: Network
  /** Who is asked first: it says what the artifact consists of. */
  peer: string
  manifests: ManifestFiles
  claims: FileClaims
  sockets: SideSockets
  swarms: Swarms
  governor: TransferGovernor | undefined
  /** Whether others may have of us what we have. */
  shares: boolean
  /** Transfers under way, by root: what they have is given to others. */
  running: Map<string, { download: Download; artifact: Artifact }>
  stallMs: number
  signal: AbortSignal
  logger: Logger | undefined
  /** Called before any content is asked for; what it throws ends the fetch. */
  onManifest(size: number): void
  /** Bytes that have to come, once that is known. */
  onMissing(bytes: number): void
  /** Bytes verified and written since the last call. */
  onWritten(bytes: number): void
  onSource(source: TransferSource): void
}

/**
 * Receives an artifact. All files have their final names, durably, before the manifest gets its own;
 * so a cut at any moment leaves either the whole artifact or none, and the chunks that were verified
 * save the next transfer from asking for them.
 *
 * What is small comes over the stream that brought the manifest. For more, lanes are opened, and
 * whoever fetches the same at the same time is asked as well.
 */
export async function fetchArtifact(root: string, context: FetchContext): Promise<Artifact> {
  const { network, peer, signal } = context
  const stream = await network.openStream(peer, PROTOCOLS.artifacts, { signal })
  const guarded = new GuardedStream(stream, context.stallMs)
  const onAbort = () => guarded.fail(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    signal.throwIfAborted()
    // A network that has no addresses is a test's.
    const addresses = context.shares ? (network.addresses ?? []).slice(0, TRANSFER.addresses) : []
    await guarded.send(openFrame({ v: 2, kind: 'artifact', root, addresses }))
    const { found, encoded } = await receiveManifest(guarded)
    if (rootOf(encoded) !== root) {
      throw new ManyhandsError('ARTIFACT_CORRUPT', `the peer sent another manifest than ${root}`)
    }
    const manifest = await inTurns(readManifest(encoded), signal)
    if (manifestSize(manifest) > TRANSFER.bulkBytes) context.sockets.expect()
    const artifact = { root, manifest, size: manifestSize(manifest) }
    context.onManifest(artifact.size)
    const files = await inTurns(distinctFiles(manifest), signal)
    const ids = new Set(files.keys())
    context.contents.acquire(ids)
    let kept = false
    try {
      await context.contents.settled()
      await receiveContent(files, artifact, found, stream, guarded, context)
      await context.durable.flush()
      const saved = await context.manifests.save(root, encoded, manifest)
      kept = saved.isNew
      return saved.artifact
    } finally {
      // Until it is known to be here, others have it of the transfer.
      context.running.delete(root)
      if (!kept) context.contents.forget(ids)
    }
  } catch (error) {
    guarded.fail(error)
    if (signal.aborted) throw signal.reason
    throw toManyhandsError(error)
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

async function receiveManifest(
  guarded: GuardedStream,
): Promise<{ found: Found; encoded: Uint8Array }> {
  const found = readFound(await guarded.expect())
  // Grows with what comes, not with what is announced, nor with the number of pieces.
  let encoded = Buffer.allocUnsafeSlow(Math.min(found.bytes, TRANSFER.frameBytes))
  let received = 0
  while (received < found.bytes) {
    const piece = body(await guarded.expect(), FRAME.manifest)
    const end = received + piece.length
    if (piece.length === 0 || end > found.bytes) {
      throw new ManyhandsError('PROTOCOL', 'the peer sent another manifest than it announced')
    }
    if (end > encoded.length) {
      const grown = Buffer.allocUnsafeSlow(Math.min(found.bytes, Math.max(end, 2 * received)))
      encoded.copy(grown, 0, 0, received)
      encoded = grown
    }
    encoded.set(piece, received)
    received = end
  }
  return { found, encoded }
}

/**
 * Brings every file here: takes those that nobody else is receiving, then waits for the others and
 * looks again, as their transfer may have failed.
 */
async function receiveContent(
  open: Files,
  artifact: Artifact,
  found: Found,
  stream: FrameStream,
  guarded: GuardedStream,
  context: FetchContext,
): Promise<void> {
  const { claims, signal } = context
  const room = new ReceivingRoom(artifact, found, stream, guarded, context)
  let failure: ManyhandsError | undefined
  try {
    while (open.size > 0) {
      const mine = await claimMissing(open, context)
      try {
        await room.receive(mine)
        for (const id of mine.keys()) open.delete(id)
      } finally {
        for (const id of mine.keys()) claims.release(id)
      }
      const [other] = open.keys()
      if (other !== undefined) await untilAborted(claims.released(other), signal)
    }
  } catch (error) {
    failure = toManyhandsError(error)
    throw error
  } finally {
    await room.close(failure)
  }
}

type Files = Map<string, { index: number; file: ManifestFile }>

function* distinctFiles(manifest: Manifest): Work<Files> {
  const files: Files = new Map()
  for (const [index, file] of manifest.files.entries()) {
    if (index % ITEMS_PER_TURN === 0) yield
    const id = fileId(file)
    if (!files.has(id)) files.set(id, { index, file })
  }
  return files
}

/** Claims what is not here and nobody else is receiving; what is here is taken out of `open`. */
async function claimMissing(open: Files, { claims, contents, signal }: FetchContext) {
  const mine: Files = new Map()
  try {
    await inTurns(claiming(open, mine, claims, contents), signal)
    return mine
  } catch (error) {
    for (const id of mine.keys()) claims.release(id)
    throw error
  }
}

function* claiming(
  open: Files,
  mine: Files,
  claims: FileClaims,
  contents: ContentFiles,
): Work<void> {
  for (const [id, wanted] of open) {
    yield
    // Claimed before the look, so that nobody begins it in between.
    if (!claims.claim(id)) continue
    if (!contents.hasNow(id)) mine.set(id, wanted)
    else {
      claims.release(id)
      open.delete(id)
    }
  }
}

/** The files of one fetch, as long as it lasts, and whom they come from. */
class ReceivingRoom {
  readonly #artifact: Artifact
  readonly #found: Found
  readonly #stream: FrameStream
  readonly #guarded: GuardedStream
  readonly #context: FetchContext
  #download: Download | undefined
  #sources: Sources | undefined

  constructor(
    artifact: Artifact,
    found: Found,
    stream: FrameStream,
    guarded: GuardedStream,
    context: FetchContext,
  ) {
    this.#artifact = artifact
    this.#found = found
    this.#stream = stream
    this.#guarded = guarded
    this.#context = context
  }

  async receive(files: Files): Promise<void> {
    const targets = new Map<number, DownloadTarget>()
    try {
      await concurrently(files.values(), TRANSFER.filesAtOnce, async ({ index, file }) => {
        const receiving = receiveFile(file, this.#context)
        targets.set(index, { file: receiving, present: await receiving.present() })
      })
      const download = this.#download ?? (await this.#begin())
      const missing = await download.plan(targets)
      this.#context.onMissing(missing)
      if (missing > 0) this.#connect(download, missing)
      await download.receive()
    } catch (error) {
      // Lanes may write as long as they are there.
      await this.#download?.close(toManyhandsError(error))
      throw error
    } finally {
      await concurrently(targets.values(), TRANSFER.filesAtOnce, ({ file }) => file.close())
    }
  }

  async close(failure?: ManyhandsError): Promise<void> {
    this.#sources?.close()
    await this.#download?.close(failure)
    if (
      failure === undefined &&
      this.#sources === undefined &&
      this.#guarded.failure === undefined
    ) {
      await this.#guarded.close()
      await this.#guarded.finish()
    }
  }

  async #begin(): Promise<Download> {
    const { network, governor, stallMs, signal, logger, onWritten, onSource } = this.#context
    const { swarms, shares, running } = this.#context
    const { root, manifest, size } = this.#artifact
    const shared = this.#found.ticket !== undefined && size > TRANSFER.bulkBytes
    const self = network.peerId
    const told = { stallMs, signal, logger, onWritten, onSource }
    const blocks = await inTurns(blocksOf(manifest), signal)
    const download = new Download({ manifest, blocks, self, shared, governor, ...told })
    this.#download = download
    if (shared && shares) {
      swarms.learn(root, this.#found.ticket!)
      running.set(root, { download, artifact: this.#artifact })
    }
    return download
  }

  /** Little comes over the stream that is there; for more it is worth looking around. */
  #connect(download: Download, missing: number): void {
    if (this.#sources !== undefined || download.provider(this.#stream.peer) !== undefined) return
    const { peer } = this.#stream
    const { stallMs } = this.#context
    if (missing <= TRANSFER.bulkBytes && this.#found.partial !== true) {
      let used = false
      download.addProvider({
        peer,
        origin: true,
        lanes: 1,
        openLane: async (events) => {
          if (used) throw new ManyhandsError('PEER_GONE', `${peer} ended the transfer half-way`)
          used = true
          return streamLane(this.#stream, { peer, stallMs }, events)
        },
      })
      return
    }
    const { root } = this.#artifact
    this.#sources = new Sources({ ...this.#context, root, download, found: this.#found })
    this.#sources.origin(this.#stream)
  }
}

function untilAborted(promise: Promise<void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason)
    if (signal.aborted) return onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}
