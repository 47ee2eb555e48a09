import type { ErrorCode } from '../error-table.ts'
import { ManyhandsError } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import { encodeDocument } from '../wire/codec.ts'
import type { Manifest, ManifestFile } from './artifact-store.ts'
import { chunksRefusal, type FileChunks } from './chunk-layout.ts'
import { parseManifest, writeManifest } from './manifest-format.ts'
import { comparePaths, foldCase, unsafePathReason } from './safe-path.ts'
import { sha256Hex } from './sha256.ts'
import { atOnce, ITEMS_PER_TURN, type Work } from './turns.ts'

/** Encodes a small manifest and names it. @throws LIMIT when it is too large */
export function encodeManifest(manifest: Manifest): { root: string; bytes: Uint8Array } {
  const bytes = atOnce(writeManifest(manifest))
  return { root: rootOf(bytes), bytes }
}

/** The artifact's name: sha256 of its encoded manifest. */
export function rootOf(bytes: Uint8Array): string {
  return `sha256:${sha256Hex(bytes)}`
}

/** Decodes a manifest of a peer or the disk. @throws PROTOCOL when it is not canonical and safe, LIMIT */
export function* readManifest(bytes: Uint8Array): Work<Manifest> {
  const manifest = yield* parseManifest(bytes)
  yield* checkManifest(manifest, 'PROTOCOL')
  return manifest
}

/**
 * Holds what {@link Manifest} promises: safe paths in byte order, no two of which are one for a file
 * system that ignores case, none of which is a file and a directory at once, and chunks
 * that can be those of a file of the size.
 */
export function* checkManifest(manifest: Manifest, code: ErrorCode): Work<void> {
  const { kind, files, directories } = manifest
  const refuse = (message: string): never => {
    throw new ManyhandsError(code, `manifest: ${message}`)
  }
  if (files.length + directories.length > LIMITS.entriesPerArtifact) {
    throw new ManyhandsError('LIMIT', `more than ${LIMITS.entriesPerArtifact} files`)
  }
  let total = 0
  for (const [index, file] of files.entries()) {
    const reason = chunksRefusal(file)
    if (reason !== undefined) refuse(`${quote(file.path)}: ${reason}`)
    total += file.size
    if (index % ITEMS_PER_TURN === 0) yield
  }
  if (!Number.isSafeInteger(total)) refuse('the sizes are beyond what can be counted')
  if (kind === 'file') {
    if (files.length !== 1 || directories.length !== 0 || files[0]!.path !== '') {
      refuse('a single file has exactly one entry, with the empty path')
    }
    return
  }
  const names = new TreeNames(refuse)
  yield* checkPaths(
    files.values().map(({ path }) => path),
    names,
    refuse,
  )
  yield* checkPaths(directories.values(), names, refuse)
}

function* checkPaths(
  paths: Iterable<string>,
  names: TreeNames,
  refuse: (message: string) => never,
): Work<void> {
  let previous: string | undefined
  let count = 0
  for (const path of paths) {
    const reason = unsafePathReason(path)
    if (reason !== undefined) refuse(`the path ${quote(path)} is refused: ${reason}`)
    if (previous !== undefined && comparePaths(previous, path) >= 0) {
      refuse(`the path ${quote(path)} is repeated or out of order`)
    }
    names.add(path)
    previous = path
    count += 1
    if (count % ITEMS_PER_TURN === 0) yield
  }
}

/** Every name on the way to an entry counts: `A/x` and `a/y` collide although the entries do not. */
class TreeNames {
  readonly #refuse: (message: string) => never
  readonly #seen = new Map<string, { path: string; leaf: boolean }>()
  #parent = ''

  constructor(refuse: (message: string) => never) {
    this.#refuse = refuse
  }

  /** Entries come in the order of their paths, files before empty directories. */
  add(path: string): void {
    const end = path.lastIndexOf('/')
    const parent = end < 0 ? '' : path.slice(0, end)
    // Sorted entries mostly share their directory with the one before.
    if (parent !== this.#parent) {
      this.#parent = parent
      for (let at = path.indexOf('/'); at >= 0; at = path.indexOf('/', at + 1)) {
        this.#claim(path.slice(0, at), false)
      }
    }
    this.#claim(path, true)
  }

  #claim(path: string, leaf: boolean): void {
    const folded = foldCase(path)
    const known = this.#seen.get(folded)
    if (known === undefined) {
      this.#seen.set(folded, { path, leaf })
      return
    }
    if (known.path !== path) {
      this.#refuse(`the paths ${quote(known.path)} and ${quote(path)} differ only in case`)
    }
    if (known.leaf || leaf) {
      this.#refuse(`the path ${quote(path)} is listed twice, or is also a directory`)
    }
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

/** The names of all contents of an artifact, each once. */
export function* fileIdsOf({ files }: Manifest): Work<Set<string>> {
  const ids = new Set<string>()
  for (const [index, file] of files.entries()) {
    ids.add(fileId(file))
    if (index % ITEMS_PER_TURN === 0) yield
  }
  return ids
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
