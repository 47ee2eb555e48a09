import { type FileHandle, open } from 'node:fs/promises'
import { ManyhandsError } from '../errors.ts'
import type { Artifact } from './artifact-store.ts'
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
    linkable: async () => undefined,
    encodedBytes: async () => encoded.length,
    async *encoded(size) {
      for (let position = 0; position < encoded.length; position += size) {
        yield encoded.subarray(position, position + size)
      }
    },
  }
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
