import { closeSync, fdatasync, fsyncSync, openSync } from 'node:fs'
import { dirname } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { promisify } from 'node:util'
import { ManyhandsError } from '../errors.ts'

/** How long a disk that takes nothing is left alone, ms. */
const AGAIN_MS = 1_000

/**
 * Brings the write-ahead log of a database to the disk, off the main thread. SQLite writes there what it
 * commits; with `synchronous=NORMAL` it syncs the log itself only before it moves it into the database.
 */
export class WriteAheadSync {
  readonly #database: DatabaseSync
  readonly #sync: (file: number) => Promise<void>
  readonly #file: number
  /** Something of the log may not be on the disk although a sync of it would succeed. */
  #broken = false
  #givenUp = false
  #tried = false
  #wake = () => {}

  /** @param path - of the database, which is open in exclusive mode: so the log stays the same file */
  constructor(
    path: string,
    database: DatabaseSync,
    sync: (file: number) => Promise<void> = promisify(fdatasync),
  ) {
    this.#database = database
    this.#sync = sync
    this.#file = openSync(`${path}-wal`, 'r')
    try {
      fsyncSync(this.#file)
      syncDirectory(dirname(path))
    } catch (cause) {
      closeSync(this.#file)
      throw cause
    }
  }

  /**
   * Resolves when all that was committed before the call is on the disk, however often that has to be tried:
   * what is committed is seen by everybody, and cannot be taken back.
   *
   * @throws what the disk says, once {@link giveUp} was called
   */
  async sync(): Promise<void> {
    for (;;) {
      try {
        if (this.#broken) this.#move()
        else await this.#sync(this.#file)
        this.#tried = false
        return
      } catch (cause) {
        // What could not be written is forgotten by the system, and another sync would not write it again:
        // from now on nothing else counts than that all of the log is in the database.
        this.#broken = true
        if (this.#givenUp) throw cause
        await this.#pause()
      }
    }
  }

  /** Nobody waits for a disk that is broken any more. */
  giveUp(): void {
    this.#givenUp = true
    this.#wake()
  }

  close(): void {
    closeSync(this.#file)
  }

  #move(): void {
    const moved = this.#database.prepare('PRAGMA wal_checkpoint(TRUNCATE)').get()
    if (moved?.['busy'] !== 0) {
      throw new ManyhandsError('DISK_FULL', 'the journal’s log could not be moved into its file')
    }
    this.#broken = false
  }

  /** The first time at once: mostly nothing else is wrong than the log's own file. */
  #pause(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#wake = resolve
    const timer = setTimeout(resolve, this.#tried ? AGAIN_MS : 0)
    timer.unref()
    this.#tried = true
    return promise.finally(() => clearTimeout(timer))
  }
}

/** The name of a new file has to be on the disk as well. */
function syncDirectory(path: string): void {
  const directory = openSync(path, 'r')
  try {
    fsyncSync(directory)
  } finally {
    closeSync(directory)
  }
}
