import type { FileHandle } from 'node:fs/promises'
import { toManyhandsError } from '../errors.ts'
import type { FileHasher } from '../hashing/file-hasher.ts'
import type { ArtifactHolds } from './artifact-holds.ts'
import type { Artifact, Manifest } from './artifact-store.ts'
import { collectOutputs } from './collect-outputs.ts'
import type { ContentFiles } from './content-files.ts'
import type { DamagedArtifacts } from './damaged-artifacts.ts'
import type { DurableDirectory } from './durable-directory.ts'
import { fileId, fileIdsOf, rootOf } from './manifest.ts'
import type { ManifestFiles } from './manifest-files.ts'
import { writeManifest } from './manifest-format.ts'
import { storeBytes } from './store-bytes.ts'
import { takeFile } from './take-file.ts'
import { inTurns } from './turns.ts'

/** Rooms of the store that what is taken goes into. */
export interface IntakeParts {
  contents: ContentFiles
  durable: DurableDirectory
  manifests: ManifestFiles
  holds: ArtifactHolds
  damaged: DamagedArtifacts
  hasher: FileHasher
}

/** Takes content of this computer into the store: bytes, a file, what a task has written. */
export class ArtifactIntake {
  readonly #parts: IntakeParts

  constructor(parts: IntakeParts) {
    this.#parts = parts
  }

  async bytes(bytes: Uint8Array, holder?: string): Promise<Artifact> {
    const file = await storeBytes(bytes, this.#parts)
    const manifest: Manifest = { v: 2, kind: 'file', files: [file], directories: [] }
    return this.#complete(manifest, [fileId(file)], holder)
  }

  async file(
    taken: FileHandle,
    options: { holder: string; maxBytes?: number; signal?: AbortSignal },
  ): Promise<Artifact> {
    options.signal?.throwIfAborted()
    const file = await takeFile(taken, { ...this.#parts, ...options })
    const manifest: Manifest = { v: 2, kind: 'file', files: [file], directories: [] }
    return this.#complete(manifest, [fileId(file)], options.holder)
  }

  async collect(
    dir: string,
    globs: string[],
    { signal, holder, copy }: { signal?: AbortSignal; holder?: string; copy?: boolean },
  ): Promise<Artifact> {
    const { contents } = this.#parts
    signal?.throwIfAborted()
    const needed: string[] = []
    let collected: { manifest: Manifest; unmatched: string[] }
    try {
      collected = await collectOutputs(dir, globs, {
        ...this.#parts,
        signal,
        copy,
        need: (id) => {
          needed.push(id)
          contents.acquire([id])
        },
      })
    } catch (error) {
      contents.forget(needed)
      if (signal?.aborted) throw signal.reason
      throw toManyhandsError(error)
    }
    const { manifest, unmatched } = collected
    return { ...(await this.#complete(manifest, needed, holder)), unmatched }
  }

  /** A part of what is here, as an artifact of its own: the files are the same. */
  async part(manifest: Manifest, holder: string): Promise<Artifact> {
    return this.#complete(manifest, [], holder)
  }

  /** Saves a manifest of which every file is here; the needs counted for it become the manifest's. */
  async #complete(manifest: Manifest, needed: string[], holder?: string): Promise<Artifact> {
    const { contents, durable, manifests, holds, damaged } = this.#parts
    const ids = await inTurns(fileIdsOf(manifest))
    contents.acquire(ids)
    let kept = false
    try {
      const bytes = await inTurns(writeManifest(manifest))
      const root = rootOf(bytes)
      if (holder !== undefined) holds.retain(root, holder)
      await durable.flush()
      const known = await manifests.get(root)
      if (known !== undefined && manifests.has(root)) return known
      const { artifact, isNew } = await manifests.save(root, bytes, manifest)
      kept = isNew
      return artifact
    } finally {
      await damaged.mend()
      contents.forget(needed)
      if (!kept) contents.forget(ids)
    }
  }
}
