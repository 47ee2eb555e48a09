import type { BigIntStats } from 'node:fs'
import { type FileHandle, lstat, open, rename, rm, unlink } from 'node:fs/promises'
import type { ErrorCode } from '../error-table.ts'
import { ManyhandsError, toManyhandsError } from '../errors.ts'
import type { FileHasher } from '../hashing/file-hasher.ts'
import type { Manifest, ManifestFile } from './artifact-store.ts'
import type { FileChunks } from './chunk-layout.ts'
import { concurrently } from './concurrently.ts'
import type { ContentFiles } from './content-files.ts'
import { type DurableDirectory, seal } from './durable-directory.ts'
import { createGlobs } from './glob.ts'
import { checkManifest, contentId } from './manifest.ts'
import { openRegular } from './open-regular.ts'
import { comparePaths } from './safe-path.ts'
import { TRANSFER } from './transfer-limits.ts'
import { inTurns } from './turns.ts'
import { type WalkedEntry, walkTree } from './walk-tree.ts'

export interface CollectContext {
  contents: ContentFiles
  hasher: FileHasher
  durable: DurableDirectory
  /** Gets every file id before the file is looked for, so that no removal comes between. */
  need: (id: string) => void
  signal?: AbortSignal
  maxEntries?: number
  /** Nothing is moved: somebody may still have a file open, and would write into the store. */
  copy?: boolean | undefined
}

const REFUSAL: ErrorCode = 'OUTPUT_UNSAFE'

/**
 * Moves what a task wrote into the store. The task has ended, but what it left may be made to trap:
 * every file is hashed through a descriptor that was checked to be the plain file that lstat saw, and
 * after the move the store's name is checked to be that same file.
 *
 * @throws OUTPUT_UNSAFE, LIMIT, DISK_FULL
 */
export async function collectOutputs(
  dir: string,
  globs: string[],
  context: CollectContext,
): Promise<{ manifest: Manifest; unmatched: string[] }> {
  const matcher = createGlobs(globs)
  const files: ManifestFile[] = []
  const directories: string[] = []
  const walk = walkTree(dir, {
    refusal: REFUSAL,
    takes: matcher.takes,
    reaches: matcher.reaches,
    maxEntries: context.maxEntries,
    signal: context.signal,
  })
  await concurrently(walk, TRANSFER.filesAtOnce, async (entry) => {
    matcher.take(entry.path)
    if (entry.kind === 'directory') directories.push(entry.path)
    else files.push(await collectFile(entry, context))
  })
  files.sort((a, b) => comparePaths(a.path, b.path))
  directories.sort(comparePaths)
  const manifest: Manifest = { v: 2, kind: 'tree', files, directories }
  await inTurns(checkManifest(manifest, REFUSAL), context.signal)
  return { manifest, unmatched: matcher.unmatched() }
}

async function collectFile(entry: WalkedEntry, context: CollectContext): Promise<ManifestFile> {
  const { path, absolute, stat } = entry
  assertOneName(absolute, stat)
  const handle = await openRegular(absolute, stat, REFUSAL)
  try {
    const size = Number(stat.size)
    const chunks = await context.hasher
      .hash(handle, size, { signal: context.signal })
      .catch((error) => {
        if (error instanceof ManyhandsError && error.code === 'INPUT_CHANGED') {
          throw unsafe(absolute, 'changed while it was collected')
        }
        throw error
      })
    const now = await handle.stat({ bigint: true })
    if (now.size !== stat.size || now.mtimeNs !== stat.mtimeNs) {
      throw unsafe(absolute, 'changed while it was collected')
    }
    assertOneName(absolute, now)
    const id = contentId(chunks)
    context.need(id)
    await context.contents.settled()
    if (await context.contents.has(id)) {
      if (!context.copy) await unlink(absolute).catch(() => undefined)
    } else await takeIn(entry, handle, id, chunks, context)
    return { path, executable: (stat.mode & 0o111n) !== 0n, ...chunks }
  } finally {
    await handle.close()
  }
}

/** Moves the file where it is in our file system and can be made ours; copies it elsewhere. */
async function takeIn(
  entry: WalkedEntry,
  handle: FileHandle,
  id: string,
  chunks: FileChunks,
  { contents, durable, hasher, signal, copy }: CollectContext,
): Promise<void> {
  const temporary = durable.temporaryPath()
  try {
    if (copy || !(await moveOwned(entry, handle, temporary))) {
      await copyVerified(entry, handle, temporary, chunks, { hasher, signal })
    }
    await contents.adopt(temporary, id)
  } catch (error) {
    await rm(temporary, { force: true })
    throw toManyhandsError(error, 'HOST_FAILED')
  }
}

async function moveOwned(
  { absolute, stat }: WalkedEntry,
  handle: FileHandle,
  temporary: string,
): Promise<boolean> {
  const uid = process.geteuid?.()
  try {
    // As long as it belongs to the sandbox's user, that user could make it writable again.
    if (uid !== undefined && stat.uid !== BigInt(uid)) await handle.chown(uid, process.getegid!())
    await seal(handle, 0o444)
    await rename(absolute, temporary)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EXDEV' || code === 'EPERM' || code === 'EACCES') return false
    throw error
  }
  const moved = await lstat(temporary, { bigint: true })
  if (!moved.isFile() || moved.dev !== stat.dev || moved.ino !== stat.ino) {
    throw unsafe(absolute, 'was replaced while it was collected')
  }
  assertOneName(absolute, moved)
  return true
}

async function copyVerified(
  { absolute }: WalkedEntry,
  handle: FileHandle,
  temporary: string,
  expected: FileChunks,
  { hasher, signal }: Pick<CollectContext, 'hasher' | 'signal'>,
): Promise<void> {
  const target = await open(temporary, 'wx', 0o600)
  try {
    if (!(await hasher.verify(handle, expected, { signal, copyTo: target }))) {
      throw unsafe(absolute, 'changed while it was collected')
    }
    await seal(target, 0o444)
  } finally {
    await target.close()
  }
}

/** A second name, outside of the directory, would see or change what is taken. */
function assertOneName(path: string, { nlink }: BigIntStats): void {
  if (nlink !== 1n) throw unsafe(path, 'has more than one name (hard link)')
}

function unsafe(path: string, reason: string): ManyhandsError {
  return new ManyhandsError(REFUSAL, `${path}: ${reason}`)
}
