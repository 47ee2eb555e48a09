import { randomBytes } from 'node:crypto'
import { type Clock, openJournalDatabase } from '@manyhands/core'
import { drawnBytes } from '../drawn-bytes.ts'
import { CHECK_SCHEMA, type CheckRows, SqliteCheckRows } from './check-rows.ts'
import { CHECKPOINT_SCHEMA, type CheckpointRows, SqliteCheckpointRows } from './checkpoint-rows.ts'
import { HOST_SCHEMA, type HostRows, SqliteHostRows } from './host-rows.ts'
import { type JobCopies, SqliteJobCopies } from './job-copy.ts'
import { JOB_SCHEMA, type JobRows, SqliteJobRows } from './job-rows.ts'
import { NEED_SCHEMA, type NeedRows, SqliteNeedRows } from './need-rows.ts'
import { OWNERSHIP_SCHEMA, type OwnershipRows, SqliteOwnershipRows } from './ownership-rows.ts'
import { type ResultRows, SqliteResultRows } from './result-rows.ts'
import { type RevisionRows, SqliteRevisionRows } from './revision-rows.ts'
import { SPLIT_ITEM_SCHEMA, type SplitItemRows, SqliteSplitItemRows } from './split-item-rows.ts'
import { SqliteTaskRows, TASK_SCHEMA } from './sqlite-task-rows.ts'
import { TaskPlaces } from './task-places.ts'
import type { TaskRows } from './task-rows.ts'

const VERSION = 2

/** Jobs of the first version could not be taken up again: those that were not over are. */
const MIGRATIONS = {
  1: `
    ALTER TABLE jobs ADD COLUMN document TEXT NOT NULL DEFAULT '{}';
    ALTER TABLE jobs ADD COLUMN source_done INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE jobs ADD COLUMN error TEXT;
    ALTER TABLE jobs ADD COLUMN spent TEXT;
    UPDATE jobs SET phase = 'canceled' WHERE phase IN ('queued', 'running', 'paused');
    ALTER TABLE tasks ADD COLUMN overrides TEXT;
    ALTER TABLE tasks ADD COLUMN dispatches INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE tasks ADD COLUMN failures INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE tasks ADD COLUMN live TEXT;
    ALTER TABLE tasks ADD COLUMN waits INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE tasks ADD COLUMN turn INTEGER;
    ALTER TABLE tasks ADD COLUMN held TEXT;
    DROP INDEX IF EXISTS tasks_by_completion;
  `,
}

/** The client's memory. */
export interface ClientJournal {
  readonly jobs: JobRows
  readonly tasks: TaskRows
  readonly results: ResultRows
  readonly needs: NeedRows
  readonly hosts: HostRows
  readonly checks: CheckRows
  readonly revisions: RevisionRows
  readonly ownership: OwnershipRows
  readonly copies: JobCopies
  readonly checkpoints: CheckpointRows
  readonly items: SplitItemRows
  /** Does all of it or nothing, with whatever else is written now; resolves when it is durable. */
  transact(work: () => void): Promise<void>
  /** As {@link transact}, and resolves when it can be read; it is durable before what is asked for later is. */
  commit(work: () => void): Promise<void>
  /** Resolves when everything that can be read now is durable. */
  durable(): Promise<void>
  close(): Promise<void>
}

/**
 * Opens the journal in a file.
 *
 * @param options.durable - `false`: it goes with this process, and need not be waited for
 * @throws STATE_LOCKED, STATE_CORRUPT
 */
export function openClientJournal(path: string, options: { durable: boolean }): ClientJournal {
  const schema =
    JOB_SCHEMA +
    TASK_SCHEMA +
    NEED_SCHEMA +
    HOST_SCHEMA +
    CHECK_SCHEMA +
    OWNERSHIP_SCHEMA +
    CHECKPOINT_SCHEMA +
    SPLIT_ITEM_SCHEMA
  const database = openJournalDatabase(path, schema, VERSION, {
    ...options,
    migrations: MIGRATIONS,
  })
  const places = new TaskPlaces(database)
  const tasks = new SqliteTaskRows(database, places)
  return {
    jobs: new SqliteJobRows(database),
    tasks,
    revisions: new SqliteRevisionRows(database, tasks, places),
    results: new SqliteResultRows(database),
    needs: new SqliteNeedRows(database),
    hosts: new SqliteHostRows(database),
    checks: new SqliteCheckRows(database),
    items: new SqliteSplitItemRows(database),
    ownership: new SqliteOwnershipRows(database),
    copies: new SqliteJobCopies(database, (count) => places.takeCompletions(count)),
    checkpoints: new SqliteCheckpointRows(database),
    transact: (work) => database.transact(work),
    commit: (work) => database.commit(work),
    durable: () => database.durable(),
    close: () => database.close(),
  }
}

/** Sortable by time, unique without asking anyone. */
export function newJobId(clock: Clock, random?: () => number): string {
  const bytes = random === undefined ? randomBytes(5) : drawnBytes(random, 5)
  return `${clock.date().getTime().toString(36)}-${bytes.toString('hex')}`
}
