import {
  type ByteSize,
  type Duration,
  ManyhandsError,
  type Network,
  type Offer,
  parseByteSize,
  parseDuration,
} from '@manyhands/core'
import type { AdmissionLedger } from './admission-ledger.ts'
import type { AdmissionRequest, RuleVerdict } from './admission-request.ts'
import { type AdmissionState, explainRequest } from './admission-rules.ts'
import type { Attempt, EndIntent } from './attempt.ts'
import type { AttemptDesk } from './attempt-desk.ts'
import type { AttemptRegistry } from './attempt-registry.ts'
import type { ClientRelations } from './client-relations.ts'
import type { DrainReport, Host, HostAttempt } from './host.ts'
import type { OfferBoard } from './offer-board.ts'
import type { HostPolicy } from './policy.ts'
import type { UsageMeter } from './usage-meter.ts'
import type { UsageSample, UsageTotals } from './usage-totals.ts'

export interface SovereignHostParts {
  network: Network
  instance: string
  /** Where 'attempt' events come from. */
  events: EventTarget
  board: OfferBoard
  attempts: AttemptRegistry
  relations: ClientRelations
  desk: AttemptDesk
  meter: UsageMeter
  ledger: AdmissionLedger
  admission: AdmissionState
  setDraining(): void
  block(peer: string): Promise<void>
  close(): Promise<void>
}

/** The owner's rights over what runs here. */
export class SovereignHost extends EventTarget implements Host {
  readonly #parts: SovereignHostParts
  #closing: Promise<void> | undefined
  #draining: Promise<DrainReport> | undefined

  constructor(parts: SovereignHostParts) {
    super()
    this.#parts = parts
    parts.events.addEventListener('attempt', (event) => {
      this.dispatchEvent(new CustomEvent('attempt', { detail: (event as CustomEvent).detail }))
    })
  }

  get peerId(): string {
    return this.#parts.network.peerId
  }

  get instance(): string {
    return this.#parts.instance
  }

  get addresses(): string[] {
    return this.#parts.network.addresses
  }

  get offer(): Offer {
    return this.#parts.board.current()
  }

  attempts(): HostAttempt[] {
    return this.#parts.attempts
      .all()
      .map((attempt) => attempt.describe())
      .toArray()
  }

  usage(options: { attempt?: string; signal?: AbortSignal } = {}): AsyncIterable<UsageSample> {
    return this.#parts.meter.samples(options)
  }

  async kill(id: string, reason = 'killed by the owner'): Promise<void> {
    await this.#parts.desk.end([this.#find(id)], evicted(reason))
  }

  async pause(id: string): Promise<void> {
    const attempt = this.#running(id, 'running')
    const task = attempt.runtimeTask
    if (task?.pause === undefined) throw this.#unsupported(attempt, 'pause')
    await task.pause()
    if (attempt.over || attempt.phase !== 'running') return
    attempt.move('paused')
    this.#parts.desk.progressed(attempt)
  }

  async resume(id: string): Promise<void> {
    const attempt = this.#running(id, 'paused')
    const task = attempt.runtimeTask
    if (task?.resume === undefined) throw this.#unsupported(attempt, 'resume')
    await task.resume()
    if (attempt.over || attempt.phase !== 'paused') return
    attempt.move('running')
    this.#parts.desk.progressed(attempt)
  }

  async limit(
    id: string,
    change: { cpus?: number; memory?: ByteSize; pids?: number },
  ): Promise<void> {
    const attempt = this.#find(id)
    const task = attempt.runtimeTask
    if (task?.limit === undefined) throw this.#unsupported(attempt, 'limit')
    const before = attempt.limits
    const wanted = {
      ...before,
      cpus: change.cpus ?? before.cpus,
      memoryBytes:
        change.memory === undefined ? before.memoryBytes : parseByteSize(change.memory, 'memory'),
      pids: change.pids ?? before.pids,
    }
    const short = this.#parts.ledger.change(id, wanted)
    if (short !== undefined) {
      throw new ManyhandsError('HOST_BUSY', `attempt ${id}: not enough ${short} free in the share`)
    }
    try {
      await task.limit({ cpus: wanted.cpus, memoryBytes: wanted.memoryBytes, pids: wanted.pids })
    } catch (cause) {
      this.#parts.ledger.change(id, before)
      throw cause
    }
    attempt.limits = wanted
    this.#parts.board.changed()
    this.#parts.desk.progressed(attempt)
  }

  get policy(): HostPolicy {
    throw new ManyhandsError('UNSUPPORTED', 'policy')
  }

  setPolicy(_change: HostPolicy): Promise<void> {
    throw new ManyhandsError('UNSUPPORTED', 'setPolicy')
  }

  history(_id: string): UsageSample[] {
    throw new ManyhandsError('UNSUPPORTED', 'history')
  }

  totals(): UsageTotals {
    throw new ManyhandsError('UNSUPPORTED', 'totals')
  }

  unblock(_peerId: string): Promise<void> {
    throw new ManyhandsError('UNSUPPORTED', 'unblock')
  }

  get blocked(): string[] {
    throw new ManyhandsError('UNSUPPORTED', 'blocked')
  }

  explain(request: AdmissionRequest): Promise<RuleVerdict[]> {
    return explainRequest(request, this.#parts.admission)
  }

  drain(options: { deadline?: Duration | 'never'; reason?: string } = {}): Promise<DrainReport> {
    // A second call only shortens the wait.
    const deadlineMs = parseDuration(
      options.deadline === 'never' ? '24d' : (options.deadline ?? '30s'),
      'deadline',
    )
    const reason = options.reason ?? 'the host is draining'
    this.#parts.setDraining()
    const evictLate = setTimeout(() => {
      void this.#parts.desk.end(this.#parts.attempts.live(), evicted(reason))
    }, deadlineMs)
    this.#draining ??= this.#drained()
    return this.#draining.finally(() => clearTimeout(evictLate))
  }

  async block(peerId: string): Promise<void> {
    const mine = this.#parts.attempts.live().filter((attempt) => attempt.client === peerId)
    const ended = this.#parts.desk.end(mine, evicted('the client was blocked'))
    await Promise.all([ended, this.#parts.block(peerId)])
    // It will never come to acknowledge.
    await this.#parts.desk.abandon(peerId)
  }

  close(): Promise<void> {
    this.#closing ??= (async () => {
      this.#parts.setDraining()
      await this.#parts.desk.end(this.#parts.attempts.live(), evicted('the host is closing'))
      await this.#parts.relations.flush()
      await this.#parts.attempts.idle()
      await this.#parts.close()
    })()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #drained(): Promise<DrainReport> {
    const before = this.#parts.attempts.live()
    await Promise.all(before.map((attempt) => attempt.done.promise))
    // What is sealed is handed over to those who are there to take it.
    await this.#parts.relations.flush()
    const report: DrainReport = {
      completed: before.filter((attempt) => attempt.phase === 'completed').length,
      evicted: before.filter((attempt) => attempt.phase === 'evicted').length,
    }
    this.dispatchEvent(new CustomEvent('drained', { detail: report }))
    return report
  }

  #find(id: string): Attempt {
    const attempt = this.#parts.attempts.get(id)
    if (attempt === undefined) {
      throw new ManyhandsError('NOT_FOUND', `there is no attempt ${id} on this host`)
    }
    return attempt
  }

  #running(id: string, phase: 'running' | 'paused'): Attempt {
    const attempt = this.#find(id)
    if (attempt.phase !== phase) {
      throw new ManyhandsError('UNSUPPORTED', `attempt ${id} is ${attempt.phase}, not ${phase}`, {
        hint: `Only a ${phase} attempt can be ${phase === 'running' ? 'paused' : 'resumed'}.`,
      })
    }
    return attempt
  }

  #unsupported(attempt: Attempt, verb: string): ManyhandsError {
    return new ManyhandsError(
      'UNSUPPORTED',
      `runtime ${attempt.spec.runtime} cannot ${verb} attempt ${attempt.id}`,
    )
  }
}

function evicted(reason: string): EndIntent {
  return { phase: 'evicted', by: 'host', reason }
}
