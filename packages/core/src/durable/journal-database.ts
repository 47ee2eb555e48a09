import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import { ManyhandsError, toManyhandsError } from '../errors.ts'

/**
 * A journal on SQLite: what is committed survives kill -9. One writer at a time, held by the file
 * system's lock for as long as the journal is open. Writes are grouped: everything that is asked for
 * within {@link GROUP_MS} shares one transaction and one fsync.
 */
export interface JournalDatabase {
  /** Prepared once per text. */
  prepare(sql: string): StatementSync
  /** Runs a statement inside the next group; resolves when it is durable. */
  write(sql: string, ...values: SQLInputValue[]): Promise<void>
  /** Runs statements inside the next group, all or none of them, in the order of calls. */
  transact(work: () => void): Promise<void>
  /** Commits what is pending and closes. */
  close(): Promise<void>
}

/** How long a write waits for company, ms: less than an fsync costs on most disks. */
const GROUP_MS = 2

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
): JournalDatabase {
  const database = open(path)
  try {
    const found = database.prepare('PRAGMA user_version').get()?.['user_version'] as number
    if (found > version) {
      throw new ManyhandsError(
        'STATE_CORRUPT',
        `journal ${path} has version ${found}, this program reads up to ${version}`,
        { hint: 'Use the newer program, or another state directory.' },
      )
    }
    database.exec(schema)
    database.exec(`PRAGMA user_version = ${version}`)
    // Takes the exclusive lock now and not at the first write.
    database.exec('BEGIN EXCLUSIVE; COMMIT')
  } catch (cause) {
    database.close()
    throw cause instanceof ManyhandsError ? cause : openError(cause, path)
  }
  if (path !== undefined) writeFileSync(`${path}.holder`, `${process.pid}`)
  return new Journal(database)
}

function open(path: string | undefined): DatabaseSync {
  try {
    if (path !== undefined) mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    const database = new DatabaseSync(path ?? ':memory:')
    database.exec(
      path === undefined
        ? 'PRAGMA synchronous=OFF'
        : 'PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL',
    )
    return database
  } catch (cause) {
    throw openError(cause, path)
  }
}

function openError(cause: unknown, path: string | undefined): ManyhandsError {
  const message = (cause as Error).message
  if (/locked|busy/i.test(message)) {
    let holder = 'another process'
    try {
      holder = `process ${readFileSync(join(`${path}.holder`), 'utf8').trim()}`
    } catch {
      // The holder is still starting; its number is a courtesy.
    }
    return new ManyhandsError('STATE_LOCKED', `${path} is in use by ${holder}`, { cause })
  }
  return new ManyhandsError('STATE_CORRUPT', `journal ${path} cannot be opened: ${message}`, {
    cause,
  })
}

/** SQLite's codes for an I/O error and for a full disk. */
const IO_ERROR = 10
const FULL = 13

function journalError(cause: unknown): ManyhandsError {
  const code = (cause as { errcode?: number }).errcode
  const full = code !== undefined && [IO_ERROR, FULL].includes(code & 0xff)
  return toManyhandsError(cause, full ? 'DISK_FULL' : 'INTERNAL')
}

interface Pending {
  work: () => void
  resolve: () => void
  reject: (reason: unknown) => void
}

class Journal implements JournalDatabase {
  readonly #database: DatabaseSync
  readonly #statements = new Map<string, StatementSync>()
  #pending: Pending[] = []
  #timer: NodeJS.Timeout | undefined
  #closed = false

  constructor(database: DatabaseSync) {
    this.#database = database
  }

  prepare(sql: string): StatementSync {
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
    if (this.#closed) {
      return Promise.reject(new ManyhandsError('CLOSED', 'the journal is closed'))
    }
    return new Promise((resolve, reject) => {
      this.#pending.push({ work, resolve, reject })
      this.#timer ??= setTimeout(() => this.#flush(), GROUP_MS)
    })
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#flush()
    this.#closed = true
    this.#database.close()
  }

  #flush(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const group = this.#pending
    this.#pending = []
    if (group.length === 0) return
    try {
      this.#commit(group)
      for (const entry of group) entry.resolve()
    } catch {
      // One entry spoils the group: each is tried alone, so that only the guilty one fails.
      for (const entry of group) {
        try {
          this.#commit([entry])
          entry.resolve()
        } catch (cause) {
          entry.reject(cause)
        }
      }
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
