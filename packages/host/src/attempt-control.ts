import { type ByteSize, ManyhandsError, parseByteSize, type Resources } from '@manyhands/core'
import type { AdmissionLedger } from './admission-ledger.ts'
import type { Attempt, PauseHolder } from './attempt.ts'
import type { HostJournal } from './host-journal.ts'

/** The least memory that a sandbox can be told to live with: below it no engine starts one. */
const LEAST_MEMORY_BYTES = 6 * 1024 ** 2

export interface LimitChange {
  cpus?: number
  memory?: ByteSize
  pids?: number
}

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
    const before = this.#settling.get(attempt) ?? Promise.resolve()
    const settled = before.catch(() => {}).then(() => this.#bring(attempt))
    this.#settling.set(attempt, settled)
    const over = () => {
      if (this.#settling.get(attempt) === settled) this.#settling.delete(attempt)
    }
    settled.then(over, over)
    return settled
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

function limitsOf(before: Resources, change: LimitChange): Resources {
  const amount = (name: string, value: number | undefined, integer: boolean) => {
    if (value === undefined) return undefined
    if (typeof value === 'number' && value > 0 && Number.isFinite(value)) {
      if (!integer || Number.isInteger(value)) return value
    }
    const expected = integer ? 'a positive integer' : 'a positive number'
    throw new ManyhandsError('USAGE', `${name}: expected ${expected}, got ${String(value)}`)
  }
  const memory = change.memory === undefined ? undefined : bytesOf(change.memory)
  return {
    ...before,
    cpus: amount('cpus', change.cpus, false) ?? before.cpus,
    memoryBytes: memory ?? before.memoryBytes,
    pids: amount('pids', change.pids, true) ?? before.pids,
  }
}

function bytesOf(memory: ByteSize): number {
  let bytes: number
  try {
    bytes = parseByteSize(memory, 'memory')
  } catch (cause) {
    throw new ManyhandsError('USAGE', (cause as Error).message, { cause })
  }
  if (Number.isSafeInteger(bytes) && bytes >= LEAST_MEMORY_BYTES) return bytes
  throw new ManyhandsError(
    'USAGE',
    `memory: expected at least ${LEAST_MEMORY_BYTES} bytes, got ${String(memory)}`,
  )
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
