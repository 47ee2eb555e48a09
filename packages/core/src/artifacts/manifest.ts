import { z } from 'zod'
import { type ErrorCode, ManyhandsError } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import { decodeDocument, encodeDocument } from '../wire/codec.ts'
import type { Manifest, ManifestFile } from './artifact-store.ts'
import { chunksRefusal, type FileChunks } from './chunk-layout.ts'
import { comparePaths, foldCase, unsafePathReason } from './safe-path.ts'
import { sha256Hex } from './sha256.ts'

const manifestSchema: z.ZodType<Manifest> = z.strictObject({
  v: z.literal(2),
  kind: z.enum(['file', 'tree']),
  files: z
    .array(
      z.strictObject({
        path: z.string(),
        size: z.number().int().nonnegative(),
        executable: z.boolean(),
        chunks: z.instanceof(Uint8Array),
        lengths: z.instanceof(Uint8Array).optional(),
      }),
    )
    .max(LIMITS.entriesPerArtifact),
  directories: z.array(z.string()).max(LIMITS.entriesPerArtifact),
})

/** Encodes a manifest and names it. @throws LIMIT when it is too large */
export function encodeManifest(manifest: Manifest): { root: string; bytes: Uint8Array } {
  const bytes = encodeDocument(manifest)
  if (bytes.length > LIMITS.manifestBytes) {
    throw new ManyhandsError('LIMIT', `a manifest of more than ${LIMITS.manifestBytes} bytes`)
  }
  return { root: rootOf(bytes), bytes }
}

/** The artifact's name: sha256 of its encoded manifest. */
export function rootOf(bytes: Uint8Array): string {
  return `sha256:${sha256Hex(bytes)}`
}

/** Decodes a manifest of a peer or the disk. @throws PROTOCOL when it is not canonical and safe */
export function decodeManifest(bytes: Uint8Array): Manifest {
  const manifest = decodeDocument(manifestSchema, bytes, 'manifest')
  checkManifest(manifest, 'PROTOCOL')
  return manifest
}

/**
 * Holds what {@link Manifest} promises: safe paths in byte order, no two of which are one for a file
 * system that ignores case, none of which is a file and a directory at once, and chunks
 * that can be those of a file of the size.
 */
export function checkManifest(manifest: Manifest, code: ErrorCode): void {
  const { kind, files, directories } = manifest
  const refuse = (message: string): never => {
    throw new ManyhandsError(code, `manifest: ${message}`)
  }
  if (files.length + directories.length > LIMITS.entriesPerArtifact) {
    throw new ManyhandsError('LIMIT', `more than ${LIMITS.entriesPerArtifact} files`)
  }
  let total = 0
  for (const file of files) {
    const reason = chunksRefusal(file)
    if (reason !== undefined) refuse(`${quote(file.path)}: ${reason}`)
    total += file.size
  }
  if (!Number.isSafeInteger(total)) refuse('the sizes are beyond what can be counted')
  if (kind === 'file') {
    if (files.length !== 1 || directories.length !== 0 || files[0]!.path !== '') {
      refuse('a single file has exactly one entry, with the empty path')
    }
    return
  }
  checkOrder(
    files.map((file) => file.path),
    refuse,
  )
  checkOrder(directories, refuse)
  checkNames(files, directories, refuse)
}

function checkOrder(paths: string[], refuse: (message: string) => never): void {
  for (let index = 0; index < paths.length; index++) {
    const path = paths[index]!
    const reason = unsafePathReason(path)
    if (reason !== undefined) refuse(`the path ${quote(path)} is refused: ${reason}`)
    if (index > 0 && comparePaths(paths[index - 1]!, path) >= 0) {
      refuse(`the path ${quote(path)} is repeated or out of order`)
    }
  }
}

/** Every name on the way to an entry counts: `A/x` and `a/y` collide although the entries do not. */
function checkNames(
  files: ManifestFile[],
  directories: string[],
  refuse: (message: string) => never,
): void {
  const seen = new Map<string, { path: string; leaf: boolean }>()
  const claim = (path: string, leaf: boolean) => {
    const folded = foldCase(path)
    const known = seen.get(folded)
    if (known === undefined) {
      seen.set(folded, { path, leaf })
      return
    }
    if (known.path !== path) {
      refuse(`the paths ${quote(known.path)} and ${quote(path)} differ only in case`)
    }
    if (known.leaf || leaf)
      refuse(`the path ${quote(path)} is listed twice, or is also a directory`)
  }
  let parent = ''
  const claimParents = (path: string) => {
    const end = path.lastIndexOf('/')
    const own = end < 0 ? '' : path.slice(0, end)
    // Sorted entries mostly share their directory with the one before.
    if (own === parent) return
    parent = own
    for (let at = path.indexOf('/'); at >= 0; at = path.indexOf('/', at + 1)) {
      claim(path.slice(0, at), false)
    }
  }
  for (const file of files) {
    claimParents(file.path)
    claim(file.path, true)
  }
  for (const path of directories) {
    claimParents(path)
    claim(path, true)
  }
}

const fileIds = new WeakMap<ManifestFile, string>()

/** The name of a file's content, whatever it is called and whether it can be executed. */
export function fileId(file: ManifestFile): string {
  let id = fileIds.get(file)
  if (id === undefined) {
    id = contentId(file)
    fileIds.set(file, id)
  }
  return id
}

export function contentId({ size, chunks, lengths }: FileChunks): string {
  return sha256Hex(encodeDocument({ size, chunks, lengths }))
}

export function manifestSize(manifest: Manifest): number {
  return manifest.files.reduce((sum, file) => sum + file.size, 0)
}

function quote(path: string): string {
  return JSON.stringify(path.length > 200 ? `${path.slice(0, 200)}…` : path)
}
