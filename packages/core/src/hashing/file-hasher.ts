import type { FileHandle } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { type FileChunks, joinChunks } from '../artifacts/chunk-layout.ts'
import { hashFile, verifyFile, writeFully } from '../artifacts/hash-file.ts'
import { HashThreads } from './hash-threads.ts'

/**
 * Cuts, hashes and checks open files. What is large goes to threads of its own, so that whoever asks
 * stays free; what is small is done at once.
 */
export interface FileHasher {
  /** Cuts a file into chunks and hashes them. @throws INPUT_CHANGED when it is shorter than `size` */
  hash(handle: FileHandle, size: number, options?: { signal?: AbortSignal }): Promise<FileChunks>
  /**
   * Whether a file has the chunks that it should have.
   *
   * @param options.copyTo - an open file that gets the bytes that are right, at their positions
   * @throws INPUT_CHANGED when it is shorter, DISK_FULL
   */
  verify(
    handle: FileHandle,
    file: FileChunks,
    options?: { signal?: AbortSignal; copyTo?: FileHandle },
  ): Promise<boolean>
  /** Ends the threads; what is under way fails with CLOSED. */
  close(): Promise<void>
}

/** Files up to this are not worth a hand-over, and take less than a millisecond. */
const SMALL_BYTES = 1024 * 1024
/** More threads than this wait for the disk or for each other. */
const MOST_THREADS = 4

export function createFileHasher(): FileHasher {
  const threads = new HashThreads(Math.min(MOST_THREADS, availableParallelism()))
  return {
    async hash(handle, size, { signal } = {}) {
      if (size > SMALL_BYTES) {
        const done = await threads.run({ fd: handle.fd, size }, signal)
        if (done !== undefined) {
          return joinChunks(
            size,
            done.cut.map(({ hashes }) => hashes),
            done.cut.flatMap(({ lengths }) => lengths),
          )
        }
      }
      return hashFile(handle, size, { signal })
    },

    async verify(handle, file, { signal, copyTo } = {}) {
      const { size, chunks, lengths } = file
      if (size > SMALL_BYTES) {
        const job = { fd: handle.fd, size, expected: { chunks, lengths }, copyTo: copyTo?.fd }
        const done = await threads.run(job, signal)
        if (done !== undefined) return !done.wrong
      }
      const onBytes = (bytes: Uint8Array, position: number) => writeFully(copyTo!, bytes, position)
      return verifyFile(handle, file, {
        signal,
        onBytes: copyTo === undefined ? undefined : onBytes,
      })
    },

    close: () => threads.close(),
  }
}
