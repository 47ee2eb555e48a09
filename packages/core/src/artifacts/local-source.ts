import { type BigIntStats, constants } from 'node:fs'
import { access, type FileHandle, lstat, realpath } from 'node:fs/promises'
import { resolve } from 'node:path'
import { ManyhandsError } from '../errors.ts'
import type { FileHasher } from '../hashing/file-hasher.ts'
import type { Artifact, Manifest, ManifestFile } from './artifact-store.ts'
import type { FileChunks } from './chunk-layout.ts'
import { concurrently } from './concurrently.ts'
import type { HashCache } from './hash-cache.ts'
import { checkManifest, manifestSize, rootOf } from './manifest.ts'
import { writeManifest } from './manifest-format.ts'
import { openRegular } from './open-regular.ts'
import { comparePaths } from './safe-path.ts'
import { TRANSFER } from './transfer-limits.ts'
import { inTurns } from './turns.ts'
import { type WalkedEntry, walkTree } from './walk-tree.ts'

/** Where one file of a by-reference artifact lies, and how it looked when it was hashed. */
export interface SourceFile {
  path: string
  stat: BigIntStats
}

/** An artifact whose bytes stay where the caller has them. */
export interface LocalSource {
  artifact: Artifact
  encoded: Uint8Array
  /** In the order of the manifest's files. */
  files: SourceFile[]
}

export interface ReferContext {
  cache: HashCache
  hasher: FileHasher
  signal?: AbortSignal
}

/** Hashes a file or tree in place. @throws INPUT_UNREADABLE, INPUT_CHANGED, PATH_UNSAFE, LIMIT */
export async function referToPath(
  path: string,
  { cache, hasher, signal }: ReferContext,
): Promise<LocalSource> {
  const absolute = resolve(path)
  const stat = await lstat(absolute, { bigint: true }).catch((cause) => {
    throw new ManyhandsError('INPUT_UNREADABLE', `${path}: cannot be read (${cause.code})`, {
      cause,
    })
  })
  if (!stat.isFile() && !stat.isDirectory()) {
    const what = stat.isSymbolicLink()
      ? `is a symbolic link; name its target ${await realpath(absolute).catch(() => '')}`
      : 'is neither a file nor a directory'
    throw new ManyhandsError('PATH_UNSAFE', `${path}: ${what}`)
  }
  const taken: { file: ManifestFile; source: SourceFile }[] = []
  const directories: string[] = []
  const take = async (entry: WalkedEntry) => {
    if (entry.kind === 'directory') {
      directories.push(entry.path)
      return
    }
    const chunks = await hashInPlace(entry, { cache, hasher, signal })
    taken.push({
      file: {
        path: entry.path,
        executable: (entry.stat.mode & 0o111n) !== 0n,
        ...chunks,
      },
      source: { path: entry.absolute, stat: entry.stat },
    })
  }
  if (stat.isFile()) await take({ kind: 'file', path: '', absolute, stat })
  else {
    await concurrently(
      walkTree(absolute, { refusal: 'PATH_UNSAFE', signal }),
      TRANSFER.filesAtOnce,
      take,
    )
  }
  taken.sort((a, b) => comparePaths(a.file.path, b.file.path))
  const manifest: Manifest = {
    v: 2,
    kind: stat.isFile() ? 'file' : 'tree',
    files: taken.map(({ file }) => file),
    directories: directories.sort(comparePaths),
  }
  await inTurns(checkManifest(manifest, 'PATH_UNSAFE'), signal)
  const encoded = await inTurns(writeManifest(manifest), signal)
  return {
    artifact: { root: rootOf(encoded), manifest, size: manifestSize(manifest) },
    encoded,
    files: taken.map(({ source }) => source),
  }
}

async function hashInPlace(
  { absolute, stat }: WalkedEntry,
  { cache, hasher, signal }: ReferContext,
): Promise<FileChunks> {
  const known = cache.get(absolute, stat)
  if (known !== undefined) {
    await access(absolute, constants.R_OK).catch((cause) => {
      throw new ManyhandsError('INPUT_UNREADABLE', `${absolute}: cannot be read`, { cause })
    })
    return known
  }
  const began = cache.now()
  const handle = await openRegular(absolute, stat, 'INPUT_UNREADABLE')
  try {
    const chunks = await hasher.hash(handle, Number(stat.size), { signal })
    await assertUnchanged(handle, absolute, stat)
    cache.set(absolute, stat, chunks, began)
    return chunks
  } finally {
    await handle.close()
  }
}

/** Opens a file of a by-reference artifact if it still is what was hashed. @throws INPUT_CHANGED */
export async function openSource({ path, stat }: SourceFile): Promise<FileHandle> {
  const handle = await openRegular(path, stat, 'INPUT_CHANGED')
  try {
    await assertUnchanged(handle, path, stat)
    return handle
  } catch (error) {
    await handle.close()
    throw error
  }
}

async function assertUnchanged(handle: FileHandle, path: string, seen: BigIntStats) {
  const now = await handle.stat({ bigint: true })
  if (now.size !== seen.size || now.mtimeNs !== seen.mtimeNs) {
    throw new ManyhandsError('INPUT_CHANGED', `${path}: changed since it was taken as an input`)
  }
}
