import type { BigIntStats } from 'node:fs'
import type { Logger } from '../network/network.ts'
import type { FileChunks } from './chunk-layout.ts'
import { HashDatabase } from './hash-database.ts'
import { TRANSFER } from './transfer-limits.ts'

/** Longer than the ticks in which file systems count time. */
const TICK_MS = 50

export interface HashCacheOptions {
  /** A file that keeps what is known for the next process; without it the cache ends with this one. */
  path?: string
  /** Bytes that this file may keep. */
  databaseBytes?: number
  logger?: Logger
  /** Milliseconds since 1970 by the clock that file times come from. */
  now?: () => number
}

/**
 * Chunks of files that were hashed before. A file is known by its path and all that changes with its
 * bytes: device, inode, size, time of change, and time of change of the inode, which no program can set
 * back.
 */
export interface HashCache {
  get(path: string, stat: BigIntStats): FileChunks | undefined
  /**
   * @param stat - taken before the file was read
   * @param began - when reading began, by {@link HashCacheOptions.now}
   */
  set(path: string, stat: BigIntStats, chunks: FileChunks, began: number): void
  now(): number
  /** Writes what is new for the next process. */
  save(): void
  close(): void
}

export function createHashCache(options: HashCacheOptions = {}): HashCache {
  const { path, databaseBytes = TRANSFER.hashDatabaseBytes, logger, now = Date.now } = options
  const memory = new HashMemory()
  const database = path === undefined ? undefined : new HashDatabase(path, databaseBytes, logger)
  return {
    now,
    get(path, stat) {
      const identity = identityOf(stat)
      const known = memory.get(path, identity)
      if (known !== undefined) return known
      const kept = database?.get(path, identity, Number(stat.size))
      if (kept !== undefined) memory.set(path, identity, kept)
      return kept
    },
    set(path, stat, chunks, began) {
      // Within one tick of the last change, a next one would leave no trace.
      const changed = Math.max(Number(stat.mtimeMs), Number(stat.ctimeMs))
      if (began - changed < TICK_MS) return
      memory.set(path, identityOf(stat), chunks)
      database?.set(path, identityOf(stat), chunks)
    },
    save: () => database?.save(),
    close: () => database?.close(),
  }
}

function identityOf({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string {
  return `${dev}:${ino}:${size}:${mtimeNs}:${ctimeNs}`
}

class HashMemory {
  readonly #hashes = new Map<string, { identity: string; chunks: FileChunks }>()

  get(path: string, identity: string): FileChunks | undefined {
    const known = this.#hashes.get(path)
    return known?.identity === identity ? known.chunks : undefined
  }

  set(path: string, identity: string, chunks: FileChunks): void {
    this.#hashes.delete(path)
    this.#hashes.set(path, { identity, chunks })
    for (const oldest of this.#hashes.keys()) {
      if (this.#hashes.size <= TRANSFER.hashesRemembered) break
      this.#hashes.delete(oldest)
    }
  }
}
