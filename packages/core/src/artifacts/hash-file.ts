import type { FileHandle } from 'node:fs/promises'
import { setImmediate } from 'node:timers/promises'
import { ManyhandsError } from '../errors.ts'
import {
  chunkCount,
  chunkHash,
  chunkLength,
  chunkOffset,
  type FileChunks,
  joinChunks,
} from './chunk-layout.ts'
import { findCut, isOneChunk } from './content-cut.ts'
import { sha256 } from './sha256.ts'
import { TRANSFER } from './transfer-limits.ts'

/**
 * Cuts an open file into chunks and hashes them off this thread; what is cut next is read meanwhile.
 *
 * @throws INPUT_CHANGED when the file is shorter than `size`
 */
export async function hashFile(
  handle: FileHandle,
  size: number,
  { signal }: { signal?: AbortSignal } = {},
): Promise<FileChunks> {
  if (isOneChunk(size)) {
    const bytes = Buffer.allocUnsafeSlow(size)
    await readFully(handle, bytes, 0)
    return joinChunks(size, size === 0 ? [] : [await sha256(bytes)], [size])
  }
  const hashes: Uint8Array[] = []
  const lengths: number[] = []
  const hashing: Promise<unknown>[] = []
  const spare: Buffer[] = []
  try {
    for (let position = 0; position < size; ) {
      signal?.throwIfAborted()
      if (hashing.length >= TRANSFER.blocksAtOnce) await hashing.shift()
      const block = spare.pop() ?? Buffer.allocUnsafeSlow(TRANSFER.blockBytes)
      const bytes = block.subarray(0, Math.min(block.length, size - position))
      await readFully(handle, bytes, position)
      const digests: Promise<void>[] = []
      let start = 0
      while (start < bytes.length) {
        const end = findCut(bytes, start, size - position - start, size)
        if (end === 0) break
        const index = lengths.push(end - start) - 1
        digests.push(
          sha256(bytes.subarray(start, end)).then((hash) => {
            hashes[index] = hash
          }),
        )
        start = end
      }
      position += start
      hashing.push(Promise.all(digests).then(() => spare.push(block)))
    }
  } finally {
    await Promise.all(hashing)
  }
  return joinChunks(size, hashes, lengths)
}

const CHUNKS_PER_TURN = 8

/** Cuts bytes into chunks and hashes them, as {@link hashFile} does. */
export async function hashBytes(bytes: Uint8Array): Promise<FileChunks> {
  const hashes: Uint8Array[] = []
  const lengths: number[] = []
  for (let start = 0; start < bytes.length; ) {
    // A chunk takes a tenth of a millisecond; a few, and others have their turn.
    if (lengths.length % CHUNKS_PER_TURN === CHUNKS_PER_TURN - 1) await setImmediate()
    const end = findCut(bytes, start, bytes.length - start, bytes.length)
    hashes.push(await sha256(bytes.subarray(start, end)))
    lengths.push(end - start)
    start = end
  }
  return joinChunks(bytes.length, hashes, lengths)
}

/**
 * Whether an open file has the chunks that it should have; several are read and hashed at once.
 *
 * @param onBytes - called with verified bytes and their position, not in order; they are only good until
 *   it resolves
 * @throws INPUT_CHANGED when the file is shorter
 */
export async function verifyFile(
  handle: FileHandle,
  file: FileChunks,
  {
    signal,
    onBytes,
  }: {
    signal?: AbortSignal
    onBytes?: (bytes: Uint8Array, position: number) => Promise<void>
  } = {},
): Promise<boolean> {
  const count = chunkCount(file)
  let next = 0
  let right = true
  let failed = false
  const work = async () => {
    const buffer = Buffer.allocUnsafeSlow(Math.min(file.size, TRANSFER.blockBytes))
    try {
      while (next < count && right && !failed) {
        signal?.throwIfAborted()
        const first = next
        const position = chunkOffset(file, first)
        do next += 1
        while (next < count && chunkOffset(file, next + 1) - position <= buffer.length)
        const bytes = buffer.subarray(0, chunkOffset(file, next) - position)
        const last = next
        await readFully(handle, bytes, position)
        if (!(await areRight(file, first, last, bytes))) right = false
        else await onBytes?.(bytes, position)
      }
    } catch (error) {
      failed = true
      throw error
    }
  }
  const workers = Array.from({ length: Math.min(count, TRANSFER.blocksAtOnce) }, work)
  const outcomes = await Promise.allSettled(workers)
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
  return right
}

/** Whether bytes are those of the chunks from `first` until before `end`. */
async function areRight(
  file: FileChunks,
  first: number,
  end: number,
  bytes: Uint8Array,
): Promise<boolean> {
  const checks: Promise<boolean>[] = []
  let offset = 0
  for (let index = first; index < end; index++) {
    const chunk = bytes.subarray(offset, offset + chunkLength(file, index))
    offset += chunk.length
    checks.push(sha256(chunk).then((hash) => Buffer.compare(hash, chunkHash(file, index)) === 0))
  }
  return (await Promise.all(checks)).every(Boolean)
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
