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
  /**
   * Copies chunks from one open file into another.
   *
   * @returns the numbers of those that were what they should be; the others were not written
   * @throws DISK_FULL
   */
  copy(
    source: FileHandle,
    target: FileHandle,
    wanted: WantedCopy[],
    options?: { signal?: AbortSignal },
  ): Promise<number[]>
  /** Ends the threads; what is under way fails with CLOSED. */
  close(): Promise<void>
}

/** A chunk that is looked for in another file. */
export interface WantedCopy {
  /** The caller's number for it. */
  chunk: number
  /** Position in the source, and in the target. */
  from: number
  to: number
  length: number
  hash: Uint8Array
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
        const results = await threads.run({ kind: 'cut', fd: handle.fd, size }, signal)
        if (results !== undefined) {
          const blocks = results.flatMap(({ cut }) => cut ?? [])
          blocks.sort((a, b) => a.block - b.block)
          return joinChunks(
            size,
            blocks.map(({ hashes }) => hashes),
            blocks.flatMap(({ lengths }) => lengths),
          )
        }
      }
      return hashFile(handle, size, { signal })
    },

    async verify(handle, file, { signal, copyTo } = {}) {
      const { size, chunks, lengths } = file
      if (size > SMALL_BYTES) {
        const results = await threads.run(
          { kind: 'verify', fd: handle.fd, size, chunks, lengths, copyTo: copyTo?.fd },
          signal,
        )
        if (results !== undefined) return !results.some(({ wrong }) => wrong)
      }
      const onBytes = (bytes: Uint8Array, position: number) => writeFully(copyTo!, bytes, position)
      return verifyFile(handle, file, {
        signal,
        onBytes: copyTo === undefined ? undefined : onBytes,
      })
    },

    async copy(source, target, wanted, { signal } = {}) {
      const hashes = Buffer.concat(wanted.map(({ hash }) => hash))
      const places = Float64Array.from(wanted.flatMap(({ from, to, length }) => [from, to, length]))
      const results = await threads.run(
        { kind: 'copy', fd: source.fd, copyTo: target.fd, hashes, places },
        signal,
      )
      // Without threads everything is asked for: slower, and as right.
      const copied = (results ?? []).flatMap((result) => result.copied ?? [])
      return copied.map((index) => wanted[index]!.chunk)
    },

    close: () => threads.close(),
  }
}
