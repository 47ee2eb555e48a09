import { type FileHandle, mkdir, opendir, rm, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { ManyhandsError, toManyhandsError } from '../errors.ts'
import type { GcAmount, GcOptions, GcSection } from '../gc-report.ts'
import { createFileHasher } from '../hashing/file-hasher.ts'
import type { Network } from '../network/network.ts'
import { type ArtifactContent, referredContent, storedContent } from './artifact-content.ts'
import { ArtifactExchange, type ExchangeOptions, type FetchOptions } from './artifact-exchange.ts'
import { ArtifactHolds } from './artifact-holds.ts'
import { ArtifactIntake } from './artifact-intake.ts'
import { artifactPart } from './artifact-part.ts'
import type { Artifact, ArtifactStore } from './artifact-store.ts'
import { ChunkIndex } from './chunk-index.ts'
import { ContentFiles } from './content-files.ts'
import { DamagedArtifacts } from './damaged-artifacts.ts'
import { DurableDirectory } from './durable-directory.ts'
import { FileClaims } from './file-claims.ts'
import { createHashCache, type HashCache } from './hash-cache.ts'
import { readFully } from './hash-file.ts'
import { KeptArtifacts } from './kept-artifacts.ts'
import { createLocalChunks } from './local-chunks.ts'
import { type LocalSource, referToPath } from './local-source.ts'
import { fileIdsOf } from './manifest.ts'
import { isRoot, ManifestFiles } from './manifest-files.ts'
import { placeArtifact } from './place-artifact.ts'
import { StoreWater } from './store-water.ts'
import { TRANSFER } from './transfer-limits.ts'
import { inTurns } from './turns.ts'

export interface ArtifactStoreOptions extends ExchangeOptions {
  /** The store's own directory; made when it is missing. One process at a time. */
  dir: string
  /**
   * High water: most bytes of what is kept for later and held by nobody, see {@link ArtifactStore.keep}.
   * Asked at every look; above it the least recently used goes until four fifths are left. Default: no limit.
   */
  keepBytes?: () => number
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
  readonly #kept: KeptArtifacts
  readonly #water: StoreWater
  readonly #damaged: DamagedArtifacts
  readonly #sources = new Map<string, LocalSource>()
  readonly #hasher = createFileHasher()
  /** Made when the first path is added: most stores of hosts never need it. */
  #hashes: HashCache | undefined
  readonly #intake: ArtifactIntake
  readonly #exchange: ArtifactExchange
  readonly #holds = new ArtifactHolds((root) => this.#unheld(root))
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
    this.#kept = kept
    const claims = new FileClaims()
    this.#water = new StoreWater({
      contents,
      manifests,
      kept,
      durable,
      holds: this.#holds,
      claims,
      partDir: this.#part,
      keepBytes: options.keepBytes,
      logger: options.logger,
    })
    const hasher = this.#hasher
    const holds = this.#holds
    const { logger } = options
    const damaged = new DamagedArtifacts({ contents, manifests, kept, holds, hasher, logger })
    this.#damaged = damaged
    this.#intake = new ArtifactIntake({ contents, durable, manifests, holds, damaged, hasher })
    this.#exchange = new ArtifactExchange({
      ...options,
      partDir: this.#part,
      contents,
      durable,
      manifests,
      claims,
      local: createLocalChunks(chunks, contents, hasher),
      damaged,
      water: this.#water,
      content: async (root) => (this.has(root) ? this.#content(root) : undefined),
    })
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
    return this.#intake.bytes(bytes, holder)
  }

  async addFile(
    taken: FileHandle,
    options: { holder: string; maxBytes?: number; signal?: AbortSignal },
  ): Promise<Artifact> {
    this.#assertOpen()
    return this.#intake.file(taken, options)
  }

  async collect(
    dir: string,
    globs: string[],
    options: { signal?: AbortSignal; holder?: string; copy?: boolean } = {},
  ): Promise<Artifact> {
    this.#assertOpen()
    return this.#intake.collect(dir, globs, options)
  }

  async part(root: string, path: string, holder: string): Promise<Artifact | undefined> {
    return this.#holds.during(root, async () => {
      const { artifact } = await this.#contentOrThrow(root)
      const part = await artifactPart(artifact, path)
      if (part === undefined) return undefined
      // What is by reference here, or not a part but all of it, is held as it is.
      if (part.root === root) {
        this.#holds.retain(root, holder)
        return artifact
      }
      return await this.#intake.part(part.manifest, holder)
    })
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
    options: FetchOptions = {},
  ): Promise<Artifact> {
    if (!isRoot(root)) throw new ManyhandsError('ARTIFACT_MISSING', 'this is no artifact name')
    this.#assertOpen()
    return this.#exchange.fetch(root, from, options)
  }

  async inspect(
    root: string,
    from: { network: Network; peer: string },
    options: { signal?: AbortSignal } = {},
  ): Promise<Artifact> {
    if (!isRoot(root)) throw new ManyhandsError('ARTIFACT_MISSING', 'this is no artifact name')
    this.#assertOpen()
    return (await this.get(root)) ?? (await this.#exchange.inspect(root, from, options))
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
    await this.#exchange.serve(network, allow, sent)
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
    // Somebody may have taken it meanwhile.
    if (this.#holds.isHeld(root)) return
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
    await this.#exchange.close()
    await this.#hasher.close()
    this.#hashes?.close()
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
