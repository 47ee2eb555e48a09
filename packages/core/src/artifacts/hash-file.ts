import type { FileHandle } from 'node:fs/promises'
import { ManyhandsError } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import { chunkCount, chunkLength } from './manifest.ts'
import { sha256 } from './sha256.ts'
import { TRANSFER } from './transfer-limits.ts'

export interface HashOptions {
  signal?: AbortSignal
  /** Called with each chunk, not in order; the bytes are only good until it resolves. */
  onChunk?: (bytes: Uint8Array, index: number) => Promise<void>
}

/**
 * Hashes each chunk of an open file: several are read and hashed at once, off this thread.
 *
 * @throws INPUT_CHANGED when the file is shorter than `size`
 */
export async function hashChunks(
  handle: FileHandle,
  size: number,
  { signal, onChunk }: HashOptions = {},
): Promise<Uint8Array> {
  const count = chunkCount(size)
  const chunks = new Uint8Array(count * 32)
  let next = 0
  let failed = false
  const work = async () => {
    const buffer = Buffer.allocUnsafeSlow(Math.min(size, LIMITS.chunkBytes))
    try {
      while (next < count && !failed) {
        signal?.throwIfAborted()
        const index = next++
        const bytes = buffer.subarray(0, chunkLength(size, index))
        await readFully(handle, bytes, index * LIMITS.chunkBytes)
        chunks.set(await sha256(bytes), index * 32)
        await onChunk?.(bytes, index)
      }
    } catch (error) {
      failed = true
      throw error
    }
  }
  const workers = Array.from({ length: Math.min(count, TRANSFER.chunksAtOnce) }, work)
  const outcomes = await Promise.allSettled(workers)
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
  return chunks
}

/** Fills `bytes` from a position. @throws INPUT_CHANGED when the file ends before */
export async function readFully(
  handle: FileHandle,
  bytes: Uint8Array,
  position: number,
): Promise<void> {
  let done = 0
  while (done < bytes.length) {
    const { bytesRead } = await handle.read(bytes, done, bytes.length - done, position + done)
    if (bytesRead === 0) {
      throw new ManyhandsError('INPUT_CHANGED', 'a file became shorter while it was read')
    }
    done += bytesRead
  }
}

/**
 * Writes all of `bytes` at a position, in pieces: for larger ones the kernel takes its cache in huge
 * pages, which a virtual machine has given back to its host and must get again one by one.
 */
export async function writeFully(
  handle: FileHandle,
  bytes: Uint8Array,
  position: number,
): Promise<void> {
  let done = 0
  while (done < bytes.length) {
    const length = Math.min(TRANSFER.writeBytes, bytes.length - done)
    const { bytesWritten } = await handle.write(bytes, done, length, position + done)
    done += bytesWritten
  }
}
