import { type FileHandle, open } from 'node:fs/promises'
import { ManyhandsError } from '../errors.ts'
import type { LocatedFile } from '../transfer/lane-messages.ts'
import type { Artifact, ManifestFile } from './artifact-store.ts'
import type { ContentFiles } from './content-files.ts'
import { readFully } from './hash-file.ts'
import { type LocalSource, openSource } from './local-source.ts'
import { fileId } from './manifest.ts'
import type { ManifestFiles } from './manifest-files.ts'

/** The bytes of a complete artifact, wherever they lie. */
export interface ArtifactContent {
  readonly artifact: Artifact
  /** Opens one file for reading. @throws ARTIFACT_MISSING, INPUT_CHANGED */
  open(index: number): Promise<FileHandle>
  /** Where one file lies, for whoever reads it elsewhere. */
  locate(index: number): Promise<LocatedFile>
  /** A path of the store that a hard link may share; undefined when the bytes are somebody else's. */
  linkable(index: number): Promise<string | undefined>
  /** Encoded bytes of the manifest, in pieces of at most `size`. */
  encoded(size: number): AsyncIterable<Uint8Array>
  encodedBytes(): Promise<number>
}

export function storedContent(
  artifact: Artifact,
  contents: ContentFiles,
  manifests: ManifestFiles,
): ArtifactContent {
  const file = (index: number) => artifact.manifest.files[index]!
  return {
    artifact,
    open: (index) => openStored(contents.path(fileId(file(index))), artifact.root),
    locate: async (index) => {
      const entry = fileOf(artifact, index)
      return { path: contents.path(fileId(entry)), size: entry.size }
    },
    linkable: async (index) => {
      const id = fileId(file(index))
      return file(index).executable ? await contents.executablePath(id) : contents.path(id)
    },
    encodedBytes: () => manifests.size(artifact.root),
    async *encoded(size) {
      const total = await manifests.size(artifact.root)
      const handle = await openStored(manifests.path(artifact.root), artifact.root)
      try {
        for (let position = 0; position < total; position += size) {
          const piece = Buffer.allocUnsafeSlow(Math.min(size, total - position))
          await readFully(handle, piece, position)
          yield piece
        }
      } finally {
        await handle.close()
      }
    },
  }
}

export function referredContent({ artifact, encoded, files }: LocalSource): ArtifactContent {
  return {
    artifact,
    open: (index) => openSource(files[index]!),
    locate: async (index) => {
      const { size } = fileOf(artifact, index)
      const { path, stat } = files[index]!
      const { dev, ino, mtimeNs } = stat
      return { path, size, seen: { dev, ino, size: stat.size, mtimeNs } }
    },
    linkable: async () => undefined,
    encodedBytes: async () => encoded.length,
    async *encoded(size) {
      for (let position = 0; position < encoded.length; position += size) {
        yield encoded.subarray(position, position + size)
      }
    },
  }
}

/**
 * An artifact that is on its way here: files that are whole, and those that are partly there. Who asks
 * knows which blocks are.
 *
 * @param partPath - where the bytes of a file are that are not all here
 */
export function partialContent(
  artifact: Artifact,
  contents: ContentFiles,
  partPath: (id: string) => string,
): ArtifactContent {
  const missing = (): never => {
    throw new ManyhandsError('ARTIFACT_MISSING', `${artifact.root} is not all here`)
  }
  return {
    artifact,
    open: missing,
    linkable: missing,
    encodedBytes: missing,
    encoded: missing,
    locate: async (index) => {
      const entry = fileOf(artifact, index)
      const id = fileId(entry)
      const whole = await contents.has(id)
      return { path: whole ? contents.path(id) : partPath(id), size: entry.size, moving: !whole }
    },
  }
}

function fileOf({ manifest }: Artifact, index: number): ManifestFile {
  const file = manifest.files[index]
  if (file !== undefined) return file
  throw new ManyhandsError('PROTOCOL', 'a file was wanted that the artifact does not have')
}

async function openStored(path: string, root: string): Promise<FileHandle> {
  try {
    return await open(path, 'r')
  } catch (cause) {
    throw new ManyhandsError('ARTIFACT_MISSING', `${root}: its bytes are gone from this store`, {
      cause,
    })
  }
}
