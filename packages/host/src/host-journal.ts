import {
  type AttemptEnd,
  type AttemptPhase,
  type AttemptSpec,
  attemptEndSchema,
  attemptSpecSchema,
  decodeDocument,
  encodeDocument,
  type JournalDatabase,
  openJournalDatabase,
  type RuntimeHandle,
} from '@manyhands/core'

/** An attempt as the journal has it. */
export interface JournaledAttempt {
  id: string
  client: string
  job: string
  jobName: string
  task: string
  spec: AttemptSpec
  phase: AttemptPhase
  handle: RuntimeHandle | undefined
  end: AttemptEnd | undefined
}

/**
 * The host's memory that outlives it: a reservation is durable before the client is told "accepted", a
 * sealed end before it is announced. Rows go when the client has acknowledged the end.
 */
export interface HostJournal {
  instance: string
  attempts(): JournaledAttempt[]
  reserve(attempts: JournaledAttempt[]): Promise<void>
  started(id: string, handle: RuntimeHandle): Promise<void>
  sealed(id: string, phase: AttemptPhase, end: AttemptEnd): Promise<void>
  forget(ids: string[]): Promise<void>
  close(): Promise<void>
}

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS host (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS attempts (
    id TEXT PRIMARY KEY, client TEXT NOT NULL, job TEXT NOT NULL, job_name TEXT NOT NULL,
    task TEXT NOT NULL, spec BLOB NOT NULL, phase TEXT NOT NULL, handle TEXT, end_document BLOB
  ) STRICT;
`

/** Opens the journal in a file, or in memory. @throws STATE_LOCKED, STATE_CORRUPT */
export function openHostJournal(path: string | undefined, newInstance: () => string): HostJournal {
  const database = openJournalDatabase(path, SCHEMA, 1)
  const known = database.prepare('SELECT value FROM host WHERE key = ?').get('instance')
  const instance = (known?.['value'] as string | undefined) ?? newInstance()
  if (known === undefined) {
    database.prepare('INSERT INTO host VALUES (?, ?)').run('instance', instance)
  }
  return new SqliteHostJournal(database, instance)
}

class SqliteHostJournal implements HostJournal {
  readonly instance: string
  readonly #database: JournalDatabase

  constructor(database: JournalDatabase, instance: string) {
    this.#database = database
    this.instance = instance
  }

  attempts(): JournaledAttempt[] {
    return this.#database
      .prepare('SELECT * FROM attempts')
      .all()
      .map((row) => ({
        id: row['id'] as string,
        client: row['client'] as string,
        job: row['job'] as string,
        jobName: row['job_name'] as string,
        task: row['task'] as string,
        spec: decodeDocument(attemptSpecSchema, row['spec'] as Uint8Array, 'journaled spec'),
        phase: row['phase'] as AttemptPhase,
        handle: row['handle'] === null ? undefined : JSON.parse(row['handle'] as string),
        end:
          row['end_document'] === null
            ? undefined
            : decodeDocument(attemptEndSchema, row['end_document'] as Uint8Array, 'journaled end'),
      }))
  }

  reserve(attempts: JournaledAttempt[]): Promise<void> {
    return this.#database.transact(() => {
      const insert = this.#database.prepare(
        'INSERT INTO attempts (id, client, job, job_name, task, spec, phase) VALUES (?,?,?,?,?,?,?)',
      )
      // Attempts of one call mostly share one spec object: it is encoded once.
      let spec: AttemptSpec | undefined
      let encoded = new Uint8Array()
      for (const attempt of attempts) {
        if (attempt.spec !== spec) {
          spec = attempt.spec
          encoded = encodeDocument(spec) as Uint8Array<ArrayBuffer>
        }
        const { id, client, job, jobName, task, phase } = attempt
        insert.run(id, client, job, jobName, task, encoded, phase)
      }
    })
  }

  started(id: string, handle: RuntimeHandle): Promise<void> {
    return this.#database.write(
      "UPDATE attempts SET phase = 'running', handle = ? WHERE id = ?",
      JSON.stringify(handle),
      id,
    )
  }

  sealed(id: string, phase: AttemptPhase, end: AttemptEnd): Promise<void> {
    return this.#database.write(
      'UPDATE attempts SET phase = ?, end_document = ? WHERE id = ?',
      phase,
      encodeDocument(end),
      id,
    )
  }

  forget(ids: string[]): Promise<void> {
    return this.#database.transact(() => {
      const remove = this.#database.prepare('DELETE FROM attempts WHERE id = ?')
      for (const id of ids) remove.run(id)
    })
  }

  close(): Promise<void> {
    return this.#database.close()
  }
}
