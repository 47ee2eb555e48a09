import {
  type AnnouncedCheckpoint,
  type AttemptEnd,
  type AttemptPhase,
  type AttemptSpec,
  attemptEndSchema,
  attemptSpecSchema,
  decodeDocument,
  encodeDocument,
  type JournalDatabase,
  openJournalDatabase,
  type Resources,
  type RuntimeHandle,
} from '@manyhands/core'
import type { EndIntent, PauseHolder } from './attempt.ts'
import { BLOCKS_SCHEMA, type BlockJournal, SqliteBlockJournal } from './block-list.ts'
import { OWNERS_SCHEMA, type OwnerJournal, SqliteOwnerJournal } from './owner-journal.ts'
import { SqliteTransferJournal, TRANSFER_SCHEMA, type TransferJournal } from './transfer-account.ts'
import { SqliteUsageJournal, USAGE_SCHEMA, type UsageJournal } from './usage-journal.ts'

/** An attempt as the journal has it. */
export interface JournaledAttempt {
  id: string
  client: string
  /** Who offered it, when that is another one. */
  origin?: string
  job: string
  jobName: string
  task: string
  spec: AttemptSpec
  /** What its client wants in the receipt. */
  nonce?: string
  phase: AttemptPhase
  handle: RuntimeHandle | undefined
  end: AttemptEnd | undefined
  /** What it has now, which its owner may have changed. */
  limits: Resources
  gpuIds: string[]
  /** Who holds it paused, and why. */
  pauses: [holder: PauseHolder, reason: string][]
  /** The owner's word that it is to end, which holds also when this process dies before it has. */
  intent: EndIntent | undefined
  /** The newest one that was made of it. */
  checkpoint?: AnnouncedCheckpoint | undefined
}

export type AttemptState = Pick<JournaledAttempt, 'id' | 'limits' | 'gpuIds' | 'pauses' | 'intent'>

/**
 * The host's memory that outlives it: a reservation is durable before the client is told "accepted", a
 * sealed end before it is announced. Rows go when the client has acknowledged the end.
 */
export interface HostJournal {
  instance: string
  readonly usage: UsageJournal
  readonly blocks: BlockJournal
  readonly transfers: TransferJournal
  readonly owners: OwnerJournal
  attempts(): JournaledAttempt[]
  reserve(attempts: JournaledAttempt[]): Promise<void>
  started(id: string, handle: RuntimeHandle): Promise<void>
  /** What an attempt has and who holds it, before it is acted on. */
  changed(attempt: AttemptState): Promise<void>
  /** Before anybody hears of it. */
  checkpointed(id: string, checkpoint: AnnouncedCheckpoint): Promise<void>
  /** @param encoded - DAG-CBOR of the end */
  sealed(id: string, phase: AttemptPhase, encoded: Uint8Array): Promise<void>
  forget(ids: string[]): Promise<void>
  close(): Promise<void>
}

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS host (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS attempts (
    id TEXT PRIMARY KEY, client TEXT NOT NULL, job TEXT NOT NULL, job_name TEXT NOT NULL,
    task TEXT NOT NULL, spec BLOB NOT NULL, phase TEXT NOT NULL, handle TEXT, end_document BLOB
  ) STRICT;
  CREATE TABLE IF NOT EXISTS attempt_states (
    id TEXT PRIMARY KEY, limits TEXT NOT NULL, gpu_ids TEXT NOT NULL, pauses TEXT NOT NULL,
    intent TEXT
  ) STRICT;
  CREATE TABLE IF NOT EXISTS attempt_nonces (id TEXT PRIMARY KEY, nonce TEXT NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS attempt_checkpoints (
    id TEXT PRIMARY KEY, seq INTEGER NOT NULL, root TEXT NOT NULL, bytes INTEGER NOT NULL
  ) STRICT;
  ${USAGE_SCHEMA}
  ${BLOCKS_SCHEMA}
  ${TRANSFER_SCHEMA}
  ${OWNERS_SCHEMA}
`

/** Opens the journal in a file. @throws STATE_LOCKED, STATE_CORRUPT */
export function openHostJournal(path: string, newInstance: () => string): HostJournal {
  const database = openJournalDatabase(path, SCHEMA, 1)
  const remembered = (key: string, make: () => string): string => {
    const known = database.prepare('SELECT value FROM host WHERE key = ?').get(key)
    if (known !== undefined) return known['value'] as string
    const value = make()
    database.prepare('INSERT INTO host VALUES (?, ?)').run(key, value)
    return value
  }
  const since = remembered('counting-since', () => new Date().toISOString())
  return new SqliteHostJournal(database, remembered('instance', newInstance), since)
}

/** What has a row for each attempt. */
const TABLES = [
  ...['attempts', 'attempt_states', 'attempt_nonces', 'attempt_origins'],
  'attempt_checkpoints',
]

class SqliteHostJournal implements HostJournal {
  readonly instance: string
  readonly usage: UsageJournal
  readonly blocks: BlockJournal
  readonly transfers: TransferJournal
  readonly owners: OwnerJournal
  readonly #database: JournalDatabase

  constructor(database: JournalDatabase, instance: string, since: string) {
    this.#database = database
    this.instance = instance
    this.usage = new SqliteUsageJournal(database, since)
    this.blocks = new SqliteBlockJournal(database)
    this.transfers = new SqliteTransferJournal(database)
    this.owners = new SqliteOwnerJournal(database)
  }

  attempts(): JournaledAttempt[] {
    return this.#database
      .prepare(
        `SELECT attempts.*, nonce, attempt_origins.client AS origin, limits, gpu_ids, pauses, intent,
           seq, root, bytes
         FROM attempts LEFT JOIN attempt_nonces USING (id) LEFT JOIN attempt_origins USING (id)
         LEFT JOIN attempt_states USING (id) LEFT JOIN attempt_checkpoints USING (id)`,
      )
      .all()
      .map((row) => {
        const spec = decodeDocument(attemptSpecSchema, row['spec'] as Uint8Array, 'journaled spec')
        return {
          id: row['id'] as string,
          client: row['client'] as string,
          ...(row['origin'] === null ? {} : { origin: row['origin'] as string }),
          job: row['job'] as string,
          jobName: row['job_name'] as string,
          task: row['task'] as string,
          spec,
          nonce: (row['nonce'] as string | null) ?? undefined,
          phase: row['phase'] as AttemptPhase,
          handle: row['handle'] === null ? undefined : JSON.parse(row['handle'] as string),
          end:
            row['end_document'] === null
              ? undefined
              : decodeDocument(
                  attemptEndSchema,
                  row['end_document'] as Uint8Array,
                  'journaled end',
                ),
          limits: parsed(row['limits'], spec.resources),
          gpuIds: parsed<string[]>(row['gpu_ids'], []),
          pauses: parsed<JournaledAttempt['pauses']>(row['pauses'], []),
          intent: parsed<EndIntent | undefined>(row['intent'], undefined),
          checkpoint: checkpointOf(row),
        }
      })
  }

  reserve(attempts: JournaledAttempt[]): Promise<void> {
    return this.#database.transact(() => {
      const insert = this.#database.prepare(
        'INSERT INTO attempts (id, client, job, job_name, task, spec, phase) VALUES (?,?,?,?,?,?,?)',
      )
      const nonce = this.#database.prepare('INSERT INTO attempt_nonces VALUES (?, ?)')
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
        if (attempt.nonce !== undefined) nonce.run(id, attempt.nonce)
        // What differs from the spec alone needs a row of its own.
        if (attempt.gpuIds.length > 0) this.#put(attempt)
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

  changed(attempt: AttemptState): Promise<void> {
    return this.#database.transact(() => this.#put(attempt))
  }

  checkpointed(id: string, { seq, root, bytes }: AnnouncedCheckpoint): Promise<void> {
    const sql = 'INSERT OR REPLACE INTO attempt_checkpoints VALUES (?, ?, ?, ?)'
    return this.#database.write(sql, id, seq, root, bytes)
  }

  sealed(id: string, phase: AttemptPhase, encoded: Uint8Array): Promise<void> {
    return this.#database.write(
      'UPDATE attempts SET phase = ?, end_document = ? WHERE id = ?',
      phase,
      encoded,
      id,
    )
  }

  forget(ids: string[]): Promise<void> {
    return this.#database.transact(() => {
      const all = JSON.stringify(ids)
      for (const table of TABLES) {
        this.#database
          .prepare(`DELETE FROM ${table} WHERE id IN (SELECT value FROM json_each(?))`)
          .run(all)
      }
    })
  }

  close(): Promise<void> {
    return this.#database.close()
  }

  #put({ id, limits, gpuIds, pauses, intent }: AttemptState): void {
    const texts = [limits, gpuIds, pauses].map((value) => JSON.stringify(value))
    this.#database
      .prepare('INSERT OR REPLACE INTO attempt_states VALUES (?, ?, ?, ?, ?)')
      .run(id, ...texts, intent === undefined ? null : JSON.stringify(intent))
  }
}

function checkpointOf(row: Record<string, unknown>): AnnouncedCheckpoint | undefined {
  if (row['root'] === null) return undefined
  const [seq, bytes] = [row['seq'] as number, row['bytes'] as number]
  return { seq, root: row['root'] as string, bytes }
}

function parsed<Value>(text: unknown, missing: Value): Value {
  return typeof text === 'string' ? (JSON.parse(text) as Value) : missing
}
