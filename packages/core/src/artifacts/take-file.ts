import { type FileHandle, open, rm } from 'node:fs/promises'
import { ManyhandsError, toManyhandsError } from '../errors.ts'
import type { FileHasher } from '../hashing/file-hasher.ts'
import type { ManifestFile } from './artifact-store.ts'
import type { FileChunks } from './chunk-layout.ts'
import type { ContentFiles } from './content-files.ts'
import { type DurableDirectory, seal } from './durable-directory.ts'
import { readFully, writeFully } from './hash-file.ts'
import { contentId } from './manifest.ts'
import { TRANSFER } from './transfer-limits.ts'

export interface TakeFileContext {
  contents: ContentFiles
  durable: DurableDirectory
  hasher: FileHasher
  maxBytes?: number
  signal?: AbortSignal
}

/**
 * Copies an open file into the store while somebody else may be writing to it. When it is not the same
 * after the copying as before, nothing is taken. The content's id is needed (counted) from then on.
 *
 * @throws OUTPUT_UNSAFE when it is no plain file with one name, INPUT_CHANGED, LIMIT, DISK_FULL
 */
export async function takeFile(
  file: FileHandle,
  { contents, durable, hasher, maxBytes, signal }: TakeFileContext,
): Promise<ManifestFile> {
  const before = await file.stat({ bigint: true })
  if (!before.isFile() || before.nlink !== 1n) {
    throw new ManyhandsError('OUTPUT_UNSAFE', 'this is no plain file with one name')
  }
  const size = Number(before.size)
  if (maxBytes !== undefined && size > maxBytes) {
    throw new ManyhandsError('LIMIT', `a file of ${size} bytes, at most ${maxBytes} are taken`)
  }
  const temporary = durable.temporaryPath()
  try {
    const chunks = await copy(file, size, temporary, { hasher, signal })
    const after = await file.stat({ bigint: true })
    const same = (['size', 'mtimeNs', 'ctimeNs', 'nlink'] as const).every(
      (fact) => after[fact] === before[fact],
    )
    if (!same) throw new ManyhandsError('INPUT_CHANGED', 'a file changed while it was taken')
    const id = contentId(chunks)
    contents.acquire([id])
    try {
      await contents.settled()
      if (await contents.has(id)) await rm(temporary, { force: true })
      else await contents.adopt(temporary, id)
    } catch (error) {
      contents.forget([id])
      throw error
    }
    return { path: '', executable: (before.mode & 0o111n) !== 0n, ...chunks }
  } catch (error) {
    await rm(temporary, { force: true })
    throw signal?.aborted ? signal.reason : toManyhandsError(error, 'HOST_FAILED')
  }
}

/** Hashes the copy, not the file: nobody else can change that. */
async function copy(
  file: FileHandle,
  size: number,
  temporary: string,
  { hasher, signal }: Pick<TakeFileContext, 'hasher' | 'signal'>,
): Promise<FileChunks> {
  const target = await open(temporary, 'wx+', 0o600)
  try {
    const buffer = Buffer.allocUnsafeSlow(Math.min(size, TRANSFER.blockBytes))
    for (let position = 0; position < size; position += buffer.length) {
      signal?.throwIfAborted()
      const bytes = buffer.subarray(0, Math.min(buffer.length, size - position))
      await readFully(file, bytes, position)
      await writeFully(target, bytes, position)
    }
    const chunks = await hasher.hash(target, size, { signal })
    await seal(target, 0o444)
    return chunks
  } finally {
    await target.close()
  }
}
