import {
  assertTransition,
  type Clock,
  type ErrorDocument,
  isTerminal,
  type JobPhase,
  toManyhandsError,
} from '@manyhands/core'
import { DISK_FULL_WAIT_MS } from './disk-full-wait.ts'
import type { JobNews } from './job-chronicle.ts'
import type { JobMeter } from './job-meter.ts'
import type { ClientJournal } from './journal/client-journal.ts'
import type { JobMove, JobRow } from './journal/job-rows.ts'

export interface JobRecordParts {
  journal: Pick<ClientJournal, 'jobs' | 'checks' | 'transact'>
  clock: Clock
  meter: JobMeter
  tell(event: JobNews): void
}

/** What is said of one job as a whole, here and in the journal: its phase, its error, and what it has cost. */
export class JobRecord {
  readonly id: string
  /** What it ends with; the first that is known. */
  error: ErrorDocument | undefined
  /** Tasks may still run: nobody has ended the job, nor left it to another process. */
  goesOn = true
  readonly #parts: JobRecordParts
  readonly #startedAt: number
  /** By earlier processes. */
  readonly #spent: JobRow['spent']
  #phase: JobPhase
  /** Resolves when its phase is in the journal. */
  #moved = Promise.resolve()
  /** How long it took, once it is over, ms. */
  #durationMs: number | undefined

  constructor(row: JobRow, parts: JobRecordParts) {
    this.id = row.id
    this.error = row.error
    this.#parts = parts
    this.#startedAt = parts.clock.now()
    this.#spent = row.spent
    this.#phase = row.phase
    if (this.over) this.#durationMs = row.spent.durationMs
  }

  get phase(): JobPhase {
    return this.#phase
  }

  get over(): boolean {
    return isTerminal(this.#phase)
  }

  get spent(): JobRow['spent'] {
    const { meter, clock } = this.#parts
    const { bytesUp, bytesDown, durationMs } = this.#spent
    return {
      bytesUp: bytesUp + meter.bytesUp,
      bytesDown: bytesDown + meter.bytesDown,
      durationMs: this.#durationMs ?? durationMs + Math.round(clock.now() - this.#startedAt),
    }
  }

  /** Resolves when its phase is in the journal. */
  get moved(): Promise<void> {
    return this.#moved
  }

  /** @param checked - all checks of its results are done */
  setPhase(phase: JobPhase, checked = false): void {
    if (phase === this.#phase) return
    assertTransition('job', this.#phase, phase, this.id)
    this.#phase = phase
    this.#durationMs = undefined
    const { error, spent } = this
    if (this.over) this.#durationMs = spent.durationMs
    this.#parts.tell({ kind: 'job', phase, ...(error === undefined ? {} : { error }) })
    this.#moved = this.#persist({ phase, error, spent }, checked)
  }

  /** A full disk of ours is waited for: what is said of the job has to be true of the next process too. */
  async #persist(move: JobMove, checked: boolean): Promise<void> {
    const { journal, clock } = this.#parts
    for (;;) {
      try {
        await journal.transact(() => {
          journal.jobs.move(this.id, move)
          if (checked) journal.checks.settle(this.id)
        })
        return
      } catch (cause) {
        if (toManyhandsError(cause).code !== 'DISK_FULL') return
        await clock.delay(DISK_FULL_WAIT_MS)
      }
    }
  }
}
