import { opendir, readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Logger } from '../network/network.ts'
import type { Artifact, Manifest } from './artifact-store.ts'
import type { DurableDirectory } from './durable-directory.ts'
import { manifestSize, readManifest, rootOf } from './manifest.ts'
import { TRANSFER } from './transfer-limits.ts'
import { inTurns } from './turns.ts'

const ROOT = /^sha256:[0-9a-f]{64}$/

/** Whether a text names an artifact; nothing else ever becomes part of a path. */
export function isRoot(root: string): boolean {
  return ROOT.test(root)
}

/**
 * Manifests of complete artifacts: `manifests/ab/<root hex>`. One is saved only after all its files
 * are durable, so that to have a manifest is to have the artifact.
 */
export class ManifestFiles {
  readonly #dir: string
  readonly #durable: DurableDirectory
  readonly #logger: Logger | undefined
  readonly #complete: (manifest: Manifest) => void
  readonly #known = new Set<string>()
  readonly #decoded = new Map<string, Artifact>()
  readonly #damaged = new Set<string>()
  readonly #unreadable = new Set<string>()
  readonly #removals = new Map<string, Promise<void>>()

  /** @param complete - hears of every artifact of which all files are here, those found on the disk too */
  constructor(
    dir: string,
    durable: DurableDirectory,
    logger?: Logger,
    complete: (manifest: Manifest) => void = () => {},
  ) {
    this.#dir = dir
    this.#durable = durable
    this.#logger = logger
    this.#complete = complete
  }

  /** Looks at the disk and yields what is there; an unreadable manifest counts as absent. */
  async *open(): AsyncGenerator<Manifest> {
    for await (const shard of await opendir(this.#dir)) {
      for await (const { name } of await opendir(join(this.#dir, shard.name))) {
        const root = `sha256:${name}`
        if (!isRoot(root)) continue
        this.#known.add(root)
        const artifact = await this.get(root)
        if (artifact === undefined) continue
        this.#complete(artifact.manifest)
        yield artifact.manifest
      }
    }
  }

  has(root: string): boolean {
    return this.#known.has(root)
  }

  /** Names of files that are no manifests of theirs, and stand for no artifact. */
  damaged(): string[] {
    return [...this.#damaged]
  }

  /** Whether the disk failed to give one: what its artifact consists of is not known. */
  get unreadable(): boolean {
    return this.#unreadable.size > 0
  }

  /** Removes a file that is no manifest, unless one is saved in its place. */
  async removeDamaged(root: string): Promise<void> {
    if (this.#damaged.delete(root)) await this.remove(root)
  }

  roots(): string[] {
    return [...this.#known]
  }

  path(root: string): string {
    const hex = root.slice('sha256:'.length)
    return join(this.#dir, hex.slice(0, 2), hex)
  }

  /** `isNew` is false when another save of the same artifact was quicker. */
  async save(
    root: string,
    bytes: Uint8Array,
    manifest: Manifest,
  ): Promise<{ artifact: Artifact; isNew: boolean }> {
    // A removal that was begun must not hit the name that is given now.
    await this.#removals.get(root)
    this.#damaged.delete(root)
    const temporary = await this.#durable.writeTemporary(bytes, 0o444)
    await this.#durable.adopt(temporary, this.path(root))
    await this.#durable.flush()
    const isNew = !this.#known.has(root)
    this.#known.add(root)
    if (isNew) this.#complete(manifest)
    return { artifact: this.#remember(root, manifest), isNew }
  }

  async get(root: string): Promise<Artifact | undefined> {
    if (!this.#known.has(root)) return undefined
    const decoded = this.#decoded.get(root)
    if (decoded !== undefined) return this.#remember(root, decoded.manifest)
    let bytes: Uint8Array
    try {
      bytes = await readFile(this.path(root))
    } catch (error) {
      this.#logger?.warn('a manifest on the disk cannot be read', { root, error: String(error) })
      this.#known.delete(root)
      // It may be read another time, and then needs its files.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') this.#unreadable.add(root)
      return undefined
    }
    try {
      if (rootOf(bytes) === root) {
        const manifest = await inTurns(readManifest(bytes))
        return this.#known.has(root) ? this.#remember(root, manifest) : undefined
      }
    } catch {}
    this.#logger?.warn('a manifest on the disk is damaged and is ignored', { root })
    this.#known.delete(root)
    this.#damaged.add(root)
    return undefined
  }

  async size(root: string): Promise<number> {
    return (await stat(this.path(root))).size
  }

  async remove(root: string): Promise<void> {
    this.#known.delete(root)
    this.#decoded.delete(root)
    const removal = rm(this.path(root), { force: true })
    this.#removals.set(root, removal)
    await removal.finally(() => this.#removals.delete(root))
  }

  #remember(root: string, manifest: Manifest): Artifact {
    const artifact = this.#decoded.get(root) ?? { root, manifest, size: manifestSize(manifest) }
    this.#decoded.delete(root)
    this.#decoded.set(root, artifact)
    for (const oldest of this.#decoded.keys()) {
      if (this.#decoded.size <= TRANSFER.manifestsRemembered) break
      this.#decoded.delete(oldest)
    }
    return artifact
  }
}
