import { type FileHandle, open } from 'node:fs/promises'
import { setImmediate } from 'node:timers/promises'
import type { FileHasher, WantedCopy } from '../hashing/file-hasher.ts'
import type { ManifestFile } from './artifact-store.ts'
import type { ChunkIndex } from './chunk-index.ts'
import { chunkCount, chunkHash, chunkLength, chunkOffset } from './chunk-layout.ts'
import type { ContentFiles } from './content-files.ts'

/** Chunks that are on this disk already, in other files of the store. */
export interface LocalChunks {
  /**
   * Copies them into a file that is on its way in, each one verified.
   *
   * @param present - chunks that the file has
   * @param target - opens the file, for writing; called when there is something to write
   * @returns the chunks that it got, ascending
   * @throws DISK_FULL
   */
  fill(
    file: ManifestFile,
    present: ReadonlySet<number>,
    target: () => Promise<FileHandle>,
    signal?: AbortSignal,
  ): Promise<number[]>
}

/** Looked for before others have their turn: less than a millisecond. */
const CHUNKS_PER_TURN = 1024

export function createLocalChunks(
  index: ChunkIndex,
  contents: ContentFiles,
  hasher: FileHasher,
): LocalChunks {
  return {
    async fill(file, present, target, signal) {
      const bySource = new Map<string, WantedCopy[]>()
      for (let chunk = 0; chunk < chunkCount(file); chunk++) {
        if (chunk % CHUNKS_PER_TURN === CHUNKS_PER_TURN - 1) await setImmediate()
        if (present.has(chunk)) continue
        const place = index.find(file, chunk)
        if (place === undefined) continue
        const copies = bySource.get(place.id) ?? []
        bySource.set(place.id, copies)
        copies.push({
          chunk,
          from: place.offset,
          to: chunkOffset(file, chunk),
          length: chunkLength(file, chunk),
          hash: chunkHash(file, chunk),
        })
      }
      const copied: number[] = []
      for (const [id, copies] of bySource) {
        signal?.throwIfAborted()
        // It may be removed meanwhile; what is open can be read to its end.
        const source = await open(contents.path(id), 'r').catch(() => undefined)
        if (source === undefined) continue
        try {
          copied.push(...(await hasher.copy(source, await target(), copies, { signal })))
        } finally {
          await source.close()
        }
      }
      return copied.sort((a, b) => a - b)
    },
  }
}
