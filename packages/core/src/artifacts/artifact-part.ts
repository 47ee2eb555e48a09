import type { Artifact, Manifest } from './artifact-store.ts'
import { manifestSize, rootOf } from './manifest.ts'
import { writeManifest } from './manifest-format.ts'
import { inTurns } from './turns.ts'

/** What a part of an artifact is as an artifact of its own. */
export interface ArtifactPart extends Artifact {
  /** Its manifest, encoded. */
  bytes: Uint8Array
}

/**
 * The file or directory at a path of a tree, or all of it for the empty path. Whoever has the manifest of
 * the whole can tell the name of a part without having any of its content.
 *
 * @returns undefined when there is nothing at the path
 */
export async function artifactPart(
  { manifest }: Pick<Artifact, 'manifest'>,
  path: string,
): Promise<ArtifactPart | undefined> {
  const part = partOf(manifest, path)
  if (part === undefined) return undefined
  const bytes = await inTurns(writeManifest(part))
  return { root: rootOf(bytes), manifest: part, size: manifestSize(part), bytes }
}

function partOf(manifest: Manifest, path: string): Manifest | undefined {
  if (path === '') return manifest
  const file = manifest.files.find((one) => one.path === path)
  if (file !== undefined) {
    return { v: 2, kind: 'file', files: [{ ...file, path: '' }], directories: [] }
  }
  const below = `${path}/`
  const files = manifest.files
    .filter((one) => one.path.startsWith(below))
    .map((one) => ({ ...one, path: one.path.slice(below.length) }))
  const directories = manifest.directories
    .filter((directory) => directory.startsWith(below))
    .map((directory) => directory.slice(below.length))
  const empty = manifest.directories.includes(path)
  if (files.length === 0 && directories.length === 0 && !empty) return undefined
  return { v: 2, kind: 'tree', files, directories }
}
