import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import { ManyhandsError } from '../errors.ts'
import { journalError, openError } from './journal-errors.ts'
import { WriteAheadSync } from './write-ahead-sync.ts'

/**
 * A journal on SQLite: what is committed survives kill -9 and the loss of power. One writer at a time, held
 * by the file system's lock for as long as the journal is open. Writes are grouped: everything that is asked
 * for within {@link GROUP_MS}, and while the disk is waited for, shares one transaction and one fsync. That
 * is SQLite's write-ahead log, synced by a {@link WriteAheadSync} behind each group and not by SQLite in the
 * middle of it: nobody is told sooner, and the program goes on meanwhile.
 */
export interface JournalDatabase {
  /** Prepared once per text. @throws CLOSED */
  prepare(sql: string): StatementSync
  /** Runs a statement inside the next group; resolves when it is durable. */
  write(sql: string, ...values: SQLInputValue[]): Promise<void>
  /** Runs statements inside the next group, all or none of them, in the order of calls. */
  transact(work: () => void): Promise<void>
  /**
   * As {@link transact}, and resolves when it can be read: for what nobody is told before something else that
   * depends on it was made durable, and with it this. By itself it is so within {@link LAZY_MS}.
   */
  commit(work: () => void): Promise<void>
  /** Resolves when everything that can be read now is durable. */
  durable(): Promise<void>
  /** Commits what is pending and closes. */
  close(): Promise<void>
}

/**
 * Least time from one commit to the next, ms: less than an fsync costs on most disks. A write that comes
 * alone does not wait for company.
 */
const GROUP_MS = 2
/** So long the disk is not asked for what nobody waits for, ms. */
const LAZY_MS = 5
/** After a group of fewer writes the next one does not wait: nobody is about to keep it company. */
const COMPANY = 8

export interface JournalDatabaseOptions {
  /** `false`: what is in the file goes with this process, so nothing waits for the disk. Default true. */
  durable?: boolean
  /** Test seam: brings a file to the disk. */
  sync?: (file: number) => Promise<void>
  /** By version: statements that make a file of that version one of the next. */
  migrations?: { readonly [version: number]: string }
}

/**
 * Opens a journal file, or one in memory when `path` is undefined.
 *
 * @param schema - statements that create the tables; run on every open, so `IF NOT EXISTS`
 * @param version - written into the file; a file of a newer version is refused
 * @throws STATE_LOCKED naming the process that holds it, STATE_CORRUPT
 */
export function openJournalDatabase(
  path: string | undefined,
  schema: string,
  version: number,
  options: JournalDatabaseOptions = {},
): JournalDatabase {
  const durable = path !== undefined && options.durable !== false
  const database = open(path, durable)
  let log: WriteAheadSync | undefined
  try {
    const found = database.prepare('PRAGMA user_version').get()?.['user_version'] as number
    if (found > version) {
      throw new ManyhandsError(
        'STATE_CORRUPT',
        `journal ${path} has version ${found}, this program reads up to ${version}`,
        { hint: 'Use the newer program, or another state directory.' },
      )
    }
    database.exec('BEGIN')
    for (let from = found; from > 0 && from < version; from += 1) {
      database.exec(options.migrations?.[from] ?? '')
    }
    database.exec(schema)
    database.exec(`PRAGMA user_version = ${version}; COMMIT`)
    // Takes the exclusive lock now and not at the first write.
    database.exec('BEGIN EXCLUSIVE; COMMIT')
    if (path !== undefined && durable) log = new WriteAheadSync(path, database, options.sync)
  } catch (cause) {
    log?.close()
    database.close()
    throw cause instanceof ManyhandsError ? cause : openError(cause, path)
  }
  if (path !== undefined) writeFileSync(`${path}.holder`, `${process.pid}`)
  return new Journal(database, log)
}

function open(path: string | undefined, durable: boolean): DatabaseSync {
  try {
    if (path !== undefined) mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    const database = new DatabaseSync(path ?? ':memory:')
    // Of a new file: rows of tables without a rowid that take more than a quarter of a page get pages of
    // their own, and a result with its receipt does in pages of 4 KiB.
    database.exec('PRAGMA page_size=8192')
    database.exec(
      durable
        ? 'PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL'
        : 'PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=MEMORY; PRAGMA synchronous=OFF',
    )
    return database
  } catch (cause) {
    throw openError(cause, path)
  }
}

interface Pending {
  work: () => void
  /** Whether nobody waits for the disk. */
  lazy: boolean
  resolve: () => void
  reject: (reason: unknown) => void
}

class Journal implements JournalDatabase {
  readonly #database: DatabaseSync
  readonly #statements = new Map<string, StatementSync>()
  readonly #log: WriteAheadSync | undefined
  /** Committed, and not known to be on the disk yet. */
  #unsynced: Pending[] = []
  #syncing: Promise<void> | undefined
  #pending: Pending[] = []
  #timer: NodeJS.Timeout | undefined
  #lazyTimer: NodeJS.Timeout | undefined
  #lastGroup = 0
  #committedAt = Number.NEGATIVE_INFINITY
  #closing: Promise<void> | undefined
  #closed = false

  constructor(database: DatabaseSync, log: WriteAheadSync | undefined) {
    this.#database = database
    this.#log = log
  }

  prepare(sql: string): StatementSync {
    if (this.#closed) throw new ManyhandsError('CLOSED', 'the journal is closed')
    let statement = this.#statements.get(sql)
    if (statement === undefined) {
      statement = this.#database.prepare(sql)
      this.#statements.set(sql, statement)
    }
    return statement
  }

  write(sql: string, ...values: SQLInputValue[]): Promise<void> {
    return this.transact(() => {
      this.prepare(sql).run(...values)
    })
  }

  transact(work: () => void): Promise<void> {
    return this.#asked(work, false)
  }

  commit(work: () => void): Promise<void> {
    return this.#asked(work, true)
  }

  #asked(work: () => void, lazy: boolean): Promise<void> {
    if (this.#closing !== undefined) {
      return Promise.reject(new ManyhandsError('CLOSED', 'the journal is closed'))
    }
    return new Promise((resolve, reject) => {
      this.#pending.push({ work, lazy, resolve, reject })
      if (this.#pending.length === 1) this.#flushSoon()
    })
  }

  async durable(): Promise<void> {
    const more = this.#unsynced.length > 0
    await this.#syncing
    if (!more) return
    // It was committed while that was under way, or nobody has asked for it.
    this.#settleNow()
    await this.#syncing
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#log?.giveUp()
    while (this.#pending.length + this.#unsynced.length > 0 || this.#syncing !== undefined) {
      this.#flush()
      this.#settleNow()
      await this.#syncing
    }
    this.#closed = true
    this.#log?.close()
    this.#database.close()
  }

  /** With everything that is asked for in this turn; under load in groups. */
  #flushSoon(): void {
    // A group that comes while the disk is waited for would only wait as well.
    if (this.#syncing !== undefined) return
    const crowded = this.#log !== undefined && this.#lastGroup >= COMPANY
    const waitMs = crowded ? this.#committedAt + GROUP_MS - performance.now() : 0
    if (waitMs > 0) this.#timer = setTimeout(() => this.#flush(), waitMs)
    else setImmediate(() => this.#flush())
  }

  #flush(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const group = this.#pending
    this.#pending = []
    if (group.length === 0) return
    this.#lastGroup = group.length
    try {
      this.#commit(group)
      this.#committed(group)
    } catch {
      // One entry spoils the group: each is tried alone, so that only the guilty one fails.
      for (const entry of group) {
        try {
          this.#commit([entry])
          this.#committed([entry])
        } catch (cause) {
          entry.reject(cause)
        }
      }
    }
    this.#committedAt = performance.now()
    this.#settle()
  }

  #committed(group: Pending[]): void {
    for (const entry of group) if (entry.lazy) entry.resolve()
    this.#unsynced.push(...group)
  }

  /** What is committed is told when it is on the disk. */
  #settle(): void {
    if (this.#unsynced.length === 0) return
    if (this.#unsynced.every(({ lazy }) => lazy)) {
      this.#lazyTimer ??= setTimeout(() => this.#settleNow(), LAZY_MS).unref()
    } else this.#settleNow()
  }

  #settleNow(): void {
    clearTimeout(this.#lazyTimer)
    this.#lazyTimer = undefined
    if (this.#log === undefined) {
      for (const entry of this.#unsynced.splice(0)) entry.resolve()
      return
    }
    if (this.#unsynced.length === 0) return
    this.#syncing ??= this.#sync(this.#log).finally(() => {
      this.#syncing = undefined
      if (this.#pending.length > 0) this.#flushSoon()
      this.#settle()
    })
  }

  async #sync(log: WriteAheadSync): Promise<void> {
    const group = this.#unsynced.splice(0)
    try {
      await log.sync()
      for (const entry of group) entry.resolve()
    } catch (cause) {
      const error = journalError(cause)
      for (const entry of group) entry.reject(error)
    }
  }

  #commit(group: Pending[]): void {
    this.#database.exec('BEGIN IMMEDIATE')
    try {
      for (const entry of group) entry.work()
      this.#database.exec('COMMIT')
    } catch (cause) {
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK')
      throw journalError(cause)
    }
  }
}
