import { open } from 'node:fs/promises'
import type { FileHasher } from '../hashing/file-hasher.ts'
import type { Logger } from '../network/network.ts'
import type { ArtifactHolds } from './artifact-holds.ts'
import type { ManifestFile } from './artifact-store.ts'
import type { ContentFiles } from './content-files.ts'
import type { KeptArtifacts } from './kept-artifacts.ts'
import { fileId } from './manifest.ts'
import type { ManifestFiles } from './manifest-files.ts'

export interface DamagedArtifactsParts {
  contents: ContentFiles
  manifests: ManifestFiles
  kept: KeptArtifacts
  holds: ArtifactHolds
  hasher: FileHasher
  logger: Logger | undefined
}

/**
 * What happens to artifacts when their bytes went bad on this disk. A file that is not what it should be is
 * removed. Artifacts that had it are forgotten, or, when somebody holds them, are known to be incomplete: what
 * is whole of them can still be read. Either way the next fetch brings the file again, and only that.
 */
export class DamagedArtifacts {
  readonly #parts: DamagedArtifactsParts
  readonly #incomplete = new Set<string>()
  readonly #examined = new Map<string, Promise<boolean>>()

  constructor(parts: DamagedArtifactsParts) {
    this.#parts = parts
  }

  /** Whether a file of an artifact that is held was removed, and did not come again. */
  isIncomplete(root: string): boolean {
    return this.#incomplete.has(root)
  }

  /**
   * Reads every file of a stored artifact, and lets go of those that are not what they should be. To be called
   * by whoever saw that something is wrong; calls for one artifact share the look.
   *
   * @returns whether something was wrong
   */
  examine(root: string): Promise<boolean> {
    let looking = this.#examined.get(root)
    if (looking === undefined) {
      looking = this.#examine(root).finally(() => this.#examined.delete(root))
      this.#examined.set(root, looking)
    }
    return looking
  }

  /** Something came: artifacts of which all files are here again are whole. */
  async mend(): Promise<void> {
    for (const root of this.#incomplete) {
      const artifact = await this.#parts.manifests.get(root)
      const files = await Promise.all(
        (artifact?.manifest.files ?? []).map((file) => this.#parts.contents.has(fileId(file))),
      )
      if (!files.includes(false)) this.#incomplete.delete(root)
    }
  }

  async #examine(root: string): Promise<boolean> {
    const { contents, manifests, logger } = this.#parts
    const artifact = await manifests.get(root)
    const bad = new Set<string>()
    const seen = new Set<string>()
    for (const file of artifact?.manifest.files ?? []) {
      const id = fileId(file)
      if (seen.has(id)) continue
      seen.add(id)
      if (!(await this.#isWhole(file))) bad.add(id)
    }
    if (bad.size === 0) return false
    logger?.warn('files of the store are damaged or gone, and are to be fetched again', {
      root,
      files: bad.size,
    })
    await contents.removeDamaged(bad)
    // Whoever shares the file has lost it, too.
    for (const other of manifests.roots()) {
      const ids = new Set((await manifests.get(other))?.manifest.files.map(fileId))
      if (bad.isDisjointFrom(ids)) continue
      await this.#lost(other, ids)
    }
    return true
  }

  async #lost(root: string, ids: Set<string>): Promise<void> {
    const { contents, manifests, kept, holds } = this.#parts
    if (holds.isHeld(root) || holds.isUsed(root)) {
      this.#incomplete.add(root)
      return
    }
    kept.forget(root)
    await manifests.remove(root)
    // The other files stay: they need not come again.
    contents.forget(ids)
  }

  async #isWhole(file: ManifestFile): Promise<boolean> {
    const { contents, hasher } = this.#parts
    const path = contents.path(fileId(file))
    const twin = file.executable ? [`${path}.x`] : []
    for (const [index, name] of [path, ...twin].entries()) {
      try {
        await using handle = await open(name, 'r')
        const { size } = await handle.stat()
        if (size !== file.size || !(await hasher.verify(handle, file))) return false
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException
        // The twin is made when it is asked for.
        if (code === 'ENOENT' && index > 0) continue
        // Anything else says nothing about the bytes.
        if (code === 'ENOENT' || code === 'EIO') return false
      }
    }
    return true
  }
}
