import { ManyhandsError, type RuntimeTask } from '@manyhands/core'
import type { AdmissionLedger } from './admission-ledger.ts'
import type { Attempt, PauseHolder } from './attempt.ts'
import type { HostJournal } from './host-journal.ts'
import { type LimitChange, limitsOf } from './limit-change.ts'

export interface AttemptControlOptions {
  ledger: AdmissionLedger
  journal: HostJournal
  /** Phase or limits of an attempt changed. */
  changed(attempt: Attempt): void
}

/**
 * Pauses, thaws and limits attempts that run. Several may hold an attempt paused, each for its own
 * reason; it goes on when nobody does any more. What is wanted is journaled before the sandbox is
 * touched, so that a host that is started again knows it.
 */
export class AttemptControl {
  readonly #options: AttemptControlOptions
  /** Attempts whose sandbox is being brought to what is wanted. */
  readonly #settling = new Map<Attempt, Promise<void>>()

  constructor(options: AttemptControlOptions) {
    this.#options = options
  }

  /** Holds a running attempt. @throws UNSUPPORTED by its runtime or in its phase */
  async pause(attempt: Attempt, holder: PauseHolder, reason: string): Promise<void> {
    if (attempt.phase !== 'running' && attempt.phase !== 'paused') {
      throw wrongPhase(attempt, 'paused')
    }
    if (attempt.pauses.has(holder)) throw wrongPhase(attempt, 'paused again')
    if (attempt.runtimeTask?.pause === undefined) throw unsupported(attempt, 'pause')
    attempt.pauses.set(holder, reason)
    try {
      await this.#options.journal.changed(attempt.state)
      await this.#settle(attempt)
    } catch (cause) {
      if (attempt.phase === 'running') attempt.pauses.delete(holder)
      throw cause
    }
    // Another reason to stand still is news as well.
    if (attempt.phase === 'paused') this.#options.changed(attempt)
  }

  /** Ends one holder's pause. Returns false when it held none. */
  async resume(attempt: Attempt, holder: PauseHolder): Promise<boolean> {
    const reason = attempt.pauses.get(holder)
    if (reason === undefined) return false
    attempt.pauses.delete(holder)
    try {
      await this.#settle(attempt)
    } catch (cause) {
      attempt.pauses.set(holder, reason)
      throw cause
    }
    // After the act: a crash between them leaves it paused, which its holder sees, and can end.
    if (!attempt.over) await this.#options.journal.changed(attempt.state)
    return true
  }

  /**
   * Does something while the sandbox stands still, where it can be made to; its phase says nothing of that.
   * Who wants it paused meanwhile waits until it is done.
   *
   * @throws UNSUPPORTED when nothing runs, what pausing or the work throws
   */
  still<Value>(attempt: Attempt, work: () => Promise<Value>): Promise<Value> {
    const done = this.#after(attempt).then(() => this.#still(attempt, work))
    this.#isSettling(
      attempt,
      done.then(
        () => {},
        () => {},
      ),
    )
    return done
  }

  /** Brings an adopted sandbox to what the journal says of it. */
  async adopted(attempt: Attempt): Promise<void> {
    if (attempt.pauses.size > 0) await this.#settle(attempt)
    // It may have been paused by a process that died before it could say so.
    else await attempt.runtimeTask?.resume?.().catch(() => {})
  }

  /**
   * Changes limits within the share.
   *
   * @throws USAGE for what is no amount, HOST_BUSY when the share has not enough, UNSUPPORTED, or what
   *   the engine says; then the reservation is as before
   */
  async limit(attempt: Attempt, change: LimitChange): Promise<void> {
    const { ledger, journal, changed } = this.#options
    const before = attempt.limits
    const wanted = limitsOf(before, change)
    if (attempt.over) throw wrongPhase(attempt, 'limited')
    const task = attempt.runtimeTask
    if (task === undefined && attempt.phase !== 'running' && attempt.phase !== 'paused') {
      throw wrongPhase(attempt, 'limited')
    }
    if (task?.limit === undefined) throw unsupported(attempt, 'limit')
    const used = attempt.usage.memory
    if (wanted.memoryBytes < before.memoryBytes && wanted.memoryBytes < used) {
      throw new ManyhandsError(
        'USAGE',
        `attempt ${attempt.id} uses ${used} bytes of memory, more than a limit of ${wanted.memoryBytes}`,
        { hint: 'Choose a limit above what it uses, or kill it.' },
      )
    }
    const short = ledger.change(attempt.id, wanted)
    if (short !== undefined) {
      throw new ManyhandsError(
        'HOST_BUSY',
        `attempt ${attempt.id}: not enough ${short.replace('Bytes', '')} free in the share`,
        { hint: 'Ask for less, or end another attempt first.' },
      )
    }
    // Of two changes that overlap, the second one starts from the first one's.
    attempt.limits = wanted
    const { cpus, memoryBytes, pids } = wanted
    try {
      await task.limit({ cpus, memoryBytes, pids })
    } catch (cause) {
      if (attempt.limits === wanted && !attempt.over) {
        attempt.limits = before
        ledger.change(attempt.id, before)
      }
      throw cause
    }
    if (attempt.over) return
    await journal.changed(attempt.state)
    changed(attempt)
  }

  /** One at a time per attempt, until the sandbox is what its holders want. */
  #settle(attempt: Attempt): Promise<void> {
    const settled = this.#after(attempt).then(() => this.#bring(attempt))
    this.#isSettling(attempt, settled)
    return settled
  }

  /** Resolves when the sandbox is what was wanted of it before. */
  #after(attempt: Attempt): Promise<void> {
    return (this.#settling.get(attempt) ?? Promise.resolve()).catch(() => {})
  }

  #isSettling(attempt: Attempt, settled: Promise<void>): void {
    this.#settling.set(attempt, settled)
    const over = () => {
      if (this.#settling.get(attempt) === settled) this.#settling.delete(attempt)
    }
    settled.then(over, over)
  }

  async #still<Value>(attempt: Attempt, work: () => Promise<Value>): Promise<Value> {
    const { runtimeTask: task } = attempt
    if (task === undefined || attempt.intent !== undefined) throw wrongPhase(attempt, 'held still')
    if (attempt.phase !== 'running' || task.pause === undefined) return work()
    await task.pause()
    try {
      return await work()
    } finally {
      if (attempt.intent === undefined && !attempt.over) await thaw(attempt, task)
    }
  }

  async #bring(attempt: Attempt): Promise<void> {
    for (;;) {
      const { phase, runtimeTask: task } = attempt
      const hold = attempt.pauses.size > 0
      if (task === undefined || attempt.intent !== undefined) return
      if (hold && phase === 'running') {
        await task.pause?.()
        if (attempt.phase === 'running') attempt.move('paused')
      } else if (!hold && phase === 'paused') {
        await task.resume?.()
        if (attempt.phase === 'paused') attempt.move('running')
      } else return
      this.#options.changed(attempt)
    }
  }
}

/** What cannot be thawed is ended: nobody else would. */
async function thaw(attempt: Attempt, task: RuntimeTask): Promise<void> {
  try {
    await task.resume?.()
  } catch {
    attempt.intend({ phase: 'evicted', by: 'host', reason: 'it could not be thawed' })
  }
}

function unsupported(attempt: Attempt, verb: string): ManyhandsError {
  return new ManyhandsError(
    'UNSUPPORTED',
    `runtime ${attempt.spec.runtime} cannot ${verb} attempt ${attempt.id}`,
  )
}

function wrongPhase(attempt: Attempt, verb: string): ManyhandsError {
  return new ManyhandsError(
    'UNSUPPORTED',
    `attempt ${attempt.id} is ${attempt.phase} and cannot be ${verb}`,
    { hint: 'Only what runs can be paused, resumed or limited; kill works in every phase.' },
  )
}
