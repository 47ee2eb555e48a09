import { rmSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import type { Logger } from '../network/network.ts'
import { chunksRefusal, type FileChunks } from './chunk-layout.ts'
import { sha256Now } from './sha256.ts'
import { TRANSFER } from './transfer-limits.ts'

const VERSION = 1
const SCHEMA = `
  CREATE TABLE IF NOT EXISTS hashes (
    path TEXT PRIMARY KEY,
    identity TEXT NOT NULL,
    chunks BLOB NOT NULL,
    lengths BLOB,
    sum BLOB NOT NULL,
    bytes INTEGER NOT NULL,
    session INTEGER NOT NULL
  );
  CREATE INDEX IF NOT EXISTS by_session ON hashes (session);
`
/** SQLite's codes for a file that somebody else holds. */
const BUSY = 5
const LOCKED = 6
/** Bytes that a row takes beside its chunks. */
const ROW_BYTES = 256

interface Row {
  identity: string
  chunks: Uint8Array
  lengths: Uint8Array | null
  sum: Uint8Array
  session: number
}

/**
 * Chunks of files by path, in a file of its own. It is a cache: nothing waits for its disk, and whatever
 * is wrong with it, it is begun anew or done without. A row is believed only with the right sum over it.
 */
export class HashDatabase {
  readonly #path: string
  readonly #most: number
  readonly #logger: Logger | undefined
  #database: DatabaseSync | undefined
  /** Grows with every process, so that rows of long ago can be told. */
  #session = 0
  #fresh = new Map<string, { identity: string; chunks: FileChunks }>()
  #used = new Set<string>()
  /** Of all rows; rows that were replaced count until it is counted again. */
  #bytes = 0
  #rebuilt = false

  constructor(path: string, most: number, logger?: Logger) {
    this.#path = path
    this.#most = most
    this.#logger = logger
    this.#open()
  }

  get(path: string, identity: string, size: number): FileChunks | undefined {
    const row = this.#try((database) =>
      database
        .prepare('SELECT identity, chunks, lengths, sum, session FROM hashes WHERE path = ?')
        .get(path),
    ) as Row | undefined
    if (row === undefined || row.identity !== identity) return undefined
    const chunks: FileChunks = { size, chunks: row.chunks, lengths: row.lengths ?? undefined }
    if (Buffer.compare(sumOf(path, identity, chunks), row.sum) !== 0) return undefined
    if (chunksRefusal(chunks) !== undefined) return undefined
    if (row.session !== this.#session) this.#used.add(path)
    return chunks
  }

  set(path: string, identity: string, chunks: FileChunks): void {
    if (this.#database === undefined) return
    this.#fresh.set(path, { identity, chunks })
    if (this.#fresh.size >= TRANSFER.hashesPerSave) this.save()
  }

  /** Writes what is new, and forgets files that were not asked for in the longest time. */
  save(): void {
    const [fresh, used] = [this.#fresh, this.#used]
    if (fresh.size === 0 && used.size === 0) return
    this.#fresh = new Map()
    this.#used = new Set()
    this.#try((database) => {
      database.exec('BEGIN')
      const touch = database.prepare('UPDATE hashes SET session = ? WHERE path = ?')
      for (const path of used) touch.run(this.#session, path)
      const put = database.prepare('INSERT OR REPLACE INTO hashes VALUES (?, ?, ?, ?, ?, ?, ?)')
      for (const [path, { identity, chunks }] of fresh) {
        const bytes = chunks.chunks.length + (chunks.lengths?.length ?? 0) + ROW_BYTES
        const sum = sumOf(path, identity, chunks)
        const { lengths = null } = chunks
        this.#bytes += bytes
        put.run(path, identity, chunks.chunks, lengths, sum, bytes, this.#session)
      }
      this.#trim(database)
      database.exec('COMMIT')
    })
  }

  close(): void {
    this.save()
    this.#try((database) => database.close())
    this.#database = undefined
  }

  #trim(database: DatabaseSync): void {
    while (this.#bytes > this.#most) {
      database.exec(`DELETE FROM hashes WHERE rowid IN (
        SELECT rowid FROM hashes ORDER BY session, rowid LIMIT (SELECT COUNT(*) / 8 + 1 FROM hashes)
      )`)
      this.#bytes = bytesOf(database)
    }
  }

  #open(): void {
    try {
      const database = new DatabaseSync(this.#path)
      this.#database = database
      // Held by this process alone; what a power cut takes is hashed again.
      database.exec(
        'PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF',
      )
      const { user_version: version } = database.prepare('PRAGMA user_version').get()!
      if (version !== 0 && version !== VERSION) {
        this.#rebuild(`its version is ${version}`)
        return
      }
      database.exec(`${SCHEMA}; PRAGMA user_version = ${VERSION}`)
      const last = database.prepare('SELECT MAX(session) AS session FROM hashes').get()!
      this.#session = Number(last['session'] ?? 0) + 1
      this.#bytes = bytesOf(database)
    } catch (error) {
      this.#fail(error)
    }
  }

  #try<Result>(work: (database: DatabaseSync) => Result): Result | undefined {
    if (this.#database === undefined) return undefined
    try {
      return work(this.#database)
    } catch (error) {
      this.#fail(error)
      return undefined
    }
  }

  #fail(error: unknown): void {
    // Another process's: it must not be taken away from under it.
    const inUse = [BUSY, LOCKED].includes((error as { errcode?: number }).errcode ?? 0)
    if (inUse) this.#rebuilt = true
    this.#rebuild(String(error))
  }

  /** Once; a second failure is of the disk, and then there is no cache. */
  #rebuild(reason: string): void {
    this.#logger?.warn('the cache of file hashes is not usable', { path: this.#path, reason })
    try {
      this.#database?.close()
    } catch {
      // It is removed in any case.
    }
    this.#database = undefined
    if (this.#rebuilt) return
    this.#rebuilt = true
    try {
      for (const end of ['', '-wal', '-shm']) rmSync(`${this.#path}${end}`, { force: true })
    } catch {
      return
    }
    this.#open()
  }
}

function bytesOf(database: DatabaseSync): number {
  return Number(database.prepare('SELECT SUM(bytes) AS bytes FROM hashes').get()!['bytes'] ?? 0)
}

function sumOf(path: string, identity: string, { size, chunks, lengths }: FileChunks): Uint8Array {
  const head = Buffer.from(JSON.stringify([path, identity, size, chunks.length]))
  return sha256Now(Buffer.concat([head, chunks, lengths ?? new Uint8Array(0)]))
}
