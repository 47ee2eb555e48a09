import { type FileHandle, mkdir, opendir, rm, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { ManyhandsError, toManyhandsError } from '../errors.ts'
import type { GcAmount, GcOptions, GcSection } from '../gc-report.ts'
import { createFileHasher } from '../hashing/file-hasher.ts'
import type { Logger, Network } from '../network/network.ts'
import type { Download } from '../transfer/download.ts'
import { fetchArtifact } from '../transfer/fetch-artifact.ts'
import { LaneThreads } from '../transfer/lane-threads.ts'
import { SideSockets } from '../transfer/side-sockets.ts'
import { Swarms } from '../transfer/swarms.ts'
import { type Served, Uploads } from '../transfer/uploads.ts'
import { PROTOCOLS } from '../wire/protocols.ts'
import {
  type ArtifactContent,
  partialContent,
  referredContent,
  storedContent,
} from './artifact-content.ts'
import { ArtifactHolds } from './artifact-holds.ts'
import type { Artifact, ArtifactStore, Manifest, TransferSource } from './artifact-store.ts'
import { ChunkIndex } from './chunk-index.ts'
import { collectOutputs } from './collect-outputs.ts'
import { ContentFiles } from './content-files.ts'
import { DamagedArtifacts } from './damaged-artifacts.ts'
import { DurableDirectory } from './durable-directory.ts'
import { FileClaims } from './file-claims.ts'
import { createHashCache, type HashCache } from './hash-cache.ts'
import { readFully } from './hash-file.ts'
import { KeptArtifacts } from './kept-artifacts.ts'
import { createLocalChunks, type LocalChunks } from './local-chunks.ts'
import { type LocalSource, referToPath } from './local-source.ts'
import { fileId, fileIdsOf, rootOf } from './manifest.ts'
import { isRoot, ManifestFiles } from './manifest-files.ts'
import { writeManifest } from './manifest-format.ts'
import { placeArtifact } from './place-artifact.ts'
import { SharedFetches, tooLarge } from './shared-fetches.ts'
import { storeBytes } from './store-bytes.ts'
import { StoreWater } from './store-water.ts'
import { takeFile } from './take-file.ts'
import type { TransferGovernor } from './transfer-governor.ts'
import { TRANSFER } from './transfer-limits.ts'
import { inTurns } from './turns.ts'

export interface ArtifactStoreOptions {
  /** The store's own directory; made when it is missing. One process at a time. */
  dir: string
  logger?: Logger
  /** Asked for all content that is sent or received; default: nothing is counted or held up. */
  governor?: TransferGovernor
  /**
   * High water: most bytes of what is kept for later and held by nobody, see {@link ArtifactStore.keep}.
   * Asked at every look; above it the least recently used goes until four fifths are left. Default: no limit.
   */
  keepBytes?: () => number
  /** How long a peer may let a transfer stall before it is given up, ms; default 30 s. */
  stallMs?: number
  /** Whether others that fetch the same artifact may have of us what we have of it; default yes. */
  shares?: () => boolean
  /** Hears over what the content of each transfer comes, as `onSource` of a fetch does. */
  onSource?: (root: string, source: TransferSource) => void
}

/**
 * Opens a store: `cas/` (files by content), `manifests/` (complete artifacts), `part/` (transfers that
 * were cut). Reads the manifests to know which files they need.
 */
export async function createArtifactStore(options: ArtifactStoreOptions): Promise<ArtifactStore> {
  const dir = resolve(options.dir)
  const part = join(dir, 'part')
  for (const name of ['cas', 'manifests', 'part']) {
    await mkdir(join(dir, name), { recursive: true })
  }
  // Names of a process that died; whole partial files are kept, they save a transfer.
  for await (const { name } of await opendir(part)) {
    if (name.startsWith('tmp-')) await rm(join(part, name), { force: true })
  }
  const durable = new DurableDirectory(part)
  const chunks = new ChunkIndex()
  const contents = new ContentFiles(join(dir, 'cas'), durable, (id) => chunks.remove(id))
  const manifests = new ManifestFiles(
    join(dir, 'manifests'),
    durable,
    options.logger,
    ({ files }) => {
      for (const file of files) chunks.add(file)
    },
  )
  for await (const manifest of manifests.open()) {
    contents.acquire(await inTurns(fileIdsOf(manifest)))
  }
  const kept = await KeptArtifacts.open(join(dir, 'kept'), options.logger)
  for (const root of kept.roots()) if (!manifests.has(root)) kept.forget(root)
  return new LocalArtifactStore({ ...options, dir }, durable, contents, manifests, chunks, kept)
}

/** What an artifact of this store is read with when its bytes are not what they were. */
const SUSPICIOUS: ReadonlySet<string> = new Set([
  'ARTIFACT_CORRUPT',
  'ARTIFACT_MISSING',
  'INPUT_CHANGED',
])

class LocalArtifactStore implements ArtifactStore {
  readonly #options: ArtifactStoreOptions
  readonly #part: string
  readonly #durable: DurableDirectory
  readonly #contents: ContentFiles
  readonly #manifests: ManifestFiles
  readonly #local: LocalChunks
  readonly #kept: KeptArtifacts
  readonly #water: StoreWater
  readonly #damaged: DamagedArtifacts
  readonly #sources = new Map<string, LocalSource>()
  readonly #hasher = createFileHasher()
  /** Made when the first path is added: most stores of hosts never need it. */
  #hashes: HashCache | undefined
  readonly #claims = new FileClaims()
  readonly #fetches = new SharedFetches()
  readonly #running = new Map<string, { download: Download; artifact: Artifact }>()
  readonly #swarms = new Swarms()
  readonly #threads = new LaneThreads()
  readonly #sockets: SideSockets
  readonly #holds = new ArtifactHolds((root) => this.#unheld(root))
  readonly #closing = new AbortController()
  #closed = false

  constructor(
    options: ArtifactStoreOptions,
    durable: DurableDirectory,
    contents: ContentFiles,
    manifests: ManifestFiles,
    chunks: ChunkIndex,
    kept: KeptArtifacts,
  ) {
    this.#options = options
    this.#part = join(options.dir, 'part')
    this.#durable = durable
    this.#contents = contents
    this.#manifests = manifests
    this.#local = createLocalChunks(chunks, contents, this.#hasher)
    this.#sockets = new SideSockets(this.#threads, options.logger)
    this.#kept = kept
    this.#water = new StoreWater({
      contents,
      manifests,
      kept,
      durable,
      holds: this.#holds,
      claims: this.#claims,
      partDir: this.#part,
      keepBytes: options.keepBytes,
      logger: options.logger,
    })
    const hasher = this.#hasher
    const holds = this.#holds
    const { logger } = options
    this.#damaged = new DamagedArtifacts({ contents, manifests, kept, holds, hasher, logger })
  }

  async addPath(
    path: string,
    { signal, holder }: { signal?: AbortSignal; holder?: string } = {},
  ): Promise<Artifact> {
    this.#assertOpen()
    signal?.throwIfAborted()
    const { dir, logger } = this.#options
    this.#hashes ??= createHashCache({ path: join(dir, 'hashes.db'), logger })
    const cache = this.#hashes
    const source = await referToPath(path, { cache, hasher: this.#hasher, signal })
    cache.save()
    if (holder !== undefined) this.#holds.retain(source.artifact.root, holder)
    this.#sources.set(source.artifact.root, source)
    return source.artifact
  }

  async addBytes(bytes: Uint8Array, { holder }: { holder?: string } = {}): Promise<Artifact> {
    this.#assertOpen()
    const file = await storeBytes(bytes, {
      contents: this.#contents,
      durable: this.#durable,
    })
    const manifest: Manifest = { v: 2, kind: 'file', files: [file], directories: [] }
    return this.#complete(manifest, [fileId(file)], holder)
  }

  async addFile(
    taken: FileHandle,
    options: { holder: string; maxBytes?: number; signal?: AbortSignal },
  ): Promise<Artifact> {
    this.#assertOpen()
    options.signal?.throwIfAborted()
    const file = await takeFile(taken, {
      ...options,
      contents: this.#contents,
      durable: this.#durable,
      hasher: this.#hasher,
    })
    const manifest: Manifest = { v: 2, kind: 'file', files: [file], directories: [] }
    return this.#complete(manifest, [fileId(file)], options.holder)
  }

  async collect(
    dir: string,
    globs: string[],
    { signal, holder }: { signal?: AbortSignal; holder?: string } = {},
  ): Promise<Artifact> {
    this.#assertOpen()
    signal?.throwIfAborted()
    const needed: string[] = []
    let collected: { manifest: Manifest; unmatched: string[] }
    try {
      collected = await collectOutputs(dir, globs, {
        contents: this.#contents,
        durable: this.#durable,
        hasher: this.#hasher,
        signal,
        need: (id) => {
          needed.push(id)
          this.#contents.acquire([id])
        },
      })
    } catch (error) {
      this.#contents.forget(needed)
      if (signal?.aborted) throw signal.reason
      throw toManyhandsError(error)
    }
    const { manifest, unmatched } = collected
    return { ...(await this.#complete(manifest, needed, holder)), unmatched }
  }

  /** Saves a manifest of which every file is here; the needs counted for it become the manifest's. */
  async #complete(manifest: Manifest, needed: string[], holder?: string): Promise<Artifact> {
    const ids = await inTurns(fileIdsOf(manifest))
    this.#contents.acquire(ids)
    let kept = false
    try {
      const bytes = await inTurns(writeManifest(manifest))
      const root = rootOf(bytes)
      if (holder !== undefined) this.#holds.retain(root, holder)
      await this.#durable.flush()
      const known = await this.#manifests.get(root)
      if (known !== undefined && this.#manifests.has(root)) return known
      const { artifact, isNew } = await this.#manifests.save(root, bytes, manifest)
      kept = isNew
      return artifact
    } finally {
      await this.#damaged.mend()
      this.#contents.forget(needed)
      if (!kept) this.#contents.forget(ids)
    }
  }

  has(root: string): boolean {
    const stored = this.#manifests.has(root) && !this.#damaged.isIncomplete(root)
    return stored || this.#sources.has(root)
  }

  async get(root: string): Promise<Artifact | undefined> {
    return (await this.#content(root))?.artifact
  }

  async #content(root: string): Promise<ArtifactContent | undefined> {
    if (!isRoot(root)) return undefined
    const artifact = await this.#manifests.get(root)
    const source = this.#sources.get(root)
    if (artifact !== undefined && (source === undefined || !this.#damaged.isIncomplete(root))) {
      return storedContent(artifact, this.#contents, this.#manifests)
    }
    return source === undefined ? undefined : referredContent(source)
  }

  async #contentOrThrow(root: string): Promise<ArtifactContent> {
    this.#assertOpen()
    const content = await this.#content(root)
    if (content === undefined) throw new ManyhandsError('ARTIFACT_MISSING', `${root} is not here`)
    return content
  }

  async fetch(
    root: string,
    from: { network: Network; peer: string },
    options: {
      signal?: AbortSignal
      maxBytes?: number
      onProgress?: (bytes: number, total?: number) => void
      onSource?: (source: TransferSource) => void
    } = {},
  ): Promise<Artifact> {
    const { signal, maxBytes } = options
    if (!isRoot(root)) throw new ManyhandsError('ARTIFACT_MISSING', 'this is no artifact name')
    for (;;) {
      this.#assertOpen()
      signal?.throwIfAborted()
      const present = this.#damaged.isIncomplete(root) ? undefined : await this.get(root)
      if (present !== undefined) {
        if (maxBytes !== undefined && present.size > maxBytes)
          throw tooLarge(present.size, maxBytes)
        return present
      }
      const other = this.#fetches.peerOf(root)
      try {
        const artifact = await this.#fetches.join(root, from.peer, options, (events) =>
          fetchArtifact(root, {
            ...from,
            ...events,
            onSource: (source) => {
              events.onSource(source)
              this.#options.onSource?.(root, source)
            },
            partDir: this.#part,
            contents: this.#contents,
            durable: this.#durable,
            manifests: this.#manifests,
            claims: this.#claims,
            local: this.#local,
            sockets: this.#sockets,
            swarms: this.#swarms,
            governor: this.#options.governor,
            shares: this.#options.shares?.() ?? true,
            running: this.#running,
            stallMs: this.#options.stallMs ?? TRANSFER.stallMs,
            logger: this.#options.logger,
          }),
        )
        await this.#damaged.mend()
        return artifact
      } catch (error) {
        this.#water.stir()
        // Another peer's transfer failed; that says nothing about ours.
        const joined = other !== undefined && other !== from.peer
        if (!joined || signal?.aborted || this.#closed) throw error
        if (error instanceof ManyhandsError && error.code === 'LIMIT') throw error
      }
    }
  }

  async place(root: string, target: string, mode: 'link' | 'copy'): Promise<void> {
    await this.#reading(root, async () => {
      await placeArtifact(await this.#contentOrThrow(root), resolve(target), mode, this.#hasher)
    })
  }

  async read(root: string, path: string): Promise<Uint8Array> {
    return this.#reading(root, async () => {
      const content = await this.#contentOrThrow(root)
      const index = content.artifact.manifest.files.findIndex((file) => file.path === path)
      const file = content.artifact.manifest.files[index]
      if (file === undefined) {
        throw new ManyhandsError('NOT_FOUND', `${root} has no file ${JSON.stringify(path)}`)
      }
      if (file.size > TRANSFER.readBytes) {
        throw new ManyhandsError('LIMIT', `${path}: too large to be read at once; place it instead`)
      }
      const handle = await content.open(index)
      try {
        const bytes = new Uint8Array(file.size)
        await readFully(handle, bytes, 0)
        if (!(await this.#hasher.verify(handle, file))) {
          throw new ManyhandsError('ARTIFACT_CORRUPT', `${root}: ${path} no longer has its bytes`)
        }
        return bytes
      } finally {
        await handle.close()
      }
    })
  }

  /** Keeps the files while `work` reads them. When they turn out to be bad they are let go of. */
  async #reading<Value>(root: string, work: () => Promise<Value>): Promise<Value> {
    try {
      return await this.#holds.during(root, work)
    } catch (thrown) {
      const error = toManyhandsError(thrown)
      const suspect = SUSPICIOUS.has(error.code) && this.#manifests.has(root)
      if (!suspect || !(await this.#damaged.examine(root))) throw error
      throw new ManyhandsError('ARTIFACT_CORRUPT', `${root} went bad on this disk`, {
        cause: error,
        hint: 'Fetch it again; what is damaged was let go of.',
      })
    }
  }

  async serve(
    network: Network,
    allow: (peer: string, root: string) => boolean,
    sent: (root: string, bytes: number, peer: string) => void = () => {},
  ): Promise<void> {
    this.#assertOpen()
    const uploads = new Uploads({
      find: (peer, root, ticket) => this.#find(peer, root, ticket, allow),
      swarms: this.#swarms,
      governor: this.#options.governor,
      expect: () => this.#sockets.expect(),
      sent,
      suspect: (root) => void this.#suspect(root),
      stallMs: this.#options.stallMs ?? TRANSFER.stallMs,
      logger: this.#options.logger,
    })
    const onDisconnect = (event: Event) => {
      const peer = (event as CustomEvent<string>).detail
      this.#swarms.forget(peer)
      this.#sockets.cut(peer)
    }
    const { signal } = this.#closing
    network.addEventListener?.('peer:disconnect', onDisconnect, { signal })
    await network.handleStream(PROTOCOLS.artifacts, (stream) => uploads.serve(stream))
    await network.handleStream(PROTOCOLS.bulk, (control) =>
      this.#sockets.answer(control, (port) => uploads.lane(control.peer, port)),
    )
  }

  /** Reading it for a peer failed: behind its back it is looked at whether the bytes are what they were. */
  async #suspect(root: string): Promise<void> {
    try {
      if (!this.#closed && this.#manifests.has(root)) await this.#damaged.examine(root)
    } catch (error) {
      this.#options.logger?.warn('an artifact cannot be examined', { root, error: String(error) })
    }
  }

  /** What a peer may have: what it is allowed, or what others of its kind have and it has the ticket of. */
  async #find(
    peer: string,
    root: string,
    ticket: string | undefined,
    allow: (peer: string, root: string) => boolean,
  ): Promise<Served | undefined> {
    if (this.#closed) return undefined
    const owned = allow(peer, root)
    const shared = this.#swarms.admits(root, ticket) && (this.#options.shares?.() ?? true)
    if (!owned && !shared) return undefined
    const content = this.has(root) ? await this.#content(root) : undefined
    if (content !== undefined) return { content, owned }
    const running = this.#running.get(root)
    if (running === undefined) return undefined
    const { artifact, download } = running
    const partPath = (id: string) => join(this.#part, `${id}.part`)
    return { content: partialContent(artifact, this.#contents, partPath), download, owned: false }
  }

  retain(root: string, holder: string): void {
    this.#holds.retain(root, holder)
  }

  async release(root: string, holder: string): Promise<void> {
    await this.#holds.release(root, holder)
  }

  keep(root: string): void {
    this.#kept.use(root)
    this.#water.stir(root)
  }

  settle(): void {
    this.#water.settle()
  }

  async gc(
    options: GcOptions & { reasonOf?: (holder: string) => string } = {},
  ): Promise<GcSection> {
    this.#assertOpen()
    return await this.#water.gc(options)
  }

  async makeRoom(bytes: number): Promise<GcAmount> {
    this.#assertOpen()
    return await this.#water.makeRoom(bytes)
  }

  async #unheld(root: string): Promise<void> {
    this.#sources.delete(root)
    if (this.#kept.has(root)) return this.#water.stir(root)
    const artifact = await this.#manifests.get(root)
    if (artifact === undefined || !this.#manifests.has(root)) return
    // First the promise, then what it rests on: a crash in between leaves files, not a lie.
    await this.#manifests.remove(root)
    await this.#contents.drop(await inTurns(fileIdsOf(artifact.manifest)))
  }

  async usage(): Promise<{ bytes: number; files: number; artifacts: number }> {
    const { bytes, files } = await this.#contents.usage()
    let partial = 0
    let partialFiles = 0
    for await (const { name } of await opendir(this.#part)) {
      const found = await stat(join(this.#part, name)).catch(() => undefined)
      if (found === undefined) continue
      // A partial file has holes; what counts is what it takes.
      partial += Math.min(found.size, found.blocks * 512)
      partialFiles += 1
    }
    return {
      bytes: bytes + partial,
      files: files + partialFiles,
      artifacts: this.#manifests.roots().length,
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#closing.abort()
    await this.#fetches.abort(new ManyhandsError('CLOSED', 'the artifact store was closed'))
    await this.#hasher.close()
    this.#hashes?.close()
    await this.#threads.close()
    await this.#water.settled()
    await this.#contents.settled()
    await this.#durable.flush()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #assertOpen(): void {
    if (this.#closed) throw new ManyhandsError('CLOSED', 'the artifact store was closed')
  }
}
