import {
  type ByteSize,
  type Duration,
  ManyhandsError,
  type Network,
  type Offer,
  parseDuration,
} from '@manyhands/core'
import type { AdmissionRequest, RuleVerdict } from './admission-request.ts'
import { type AdmissionState, explainRequest } from './admission-rules.ts'
import type { Attempt, EndIntent } from './attempt.ts'
import type { AttemptControl } from './attempt-control.ts'
import type { AttemptDesk } from './attempt-desk.ts'
import type { AttemptRegistry } from './attempt-registry.ts'
import type { ClientRelations } from './client-relations.ts'
import type { DrainReport, Host, HostAttempt } from './host.ts'
import type { OfferBoard } from './offer-board.ts'
import type { HostPolicy } from './policy.ts'
import type { UsageLedger } from './usage-ledger.ts'
import type { UsageMeter } from './usage-meter.ts'
import type { UsageSample, UsageTotals } from './usage-totals.ts'

/** What of a reason is kept and told. */
const REASON_CHARACTERS = 1000

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
  control: AttemptControl
  usage: UsageLedger
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

  async pause(id: string, reason = 'paused by the owner'): Promise<void> {
    const attempt = this.#find(id)
    await this.#parts.control.pause(attempt, 'owner', reason.slice(0, REASON_CHARACTERS))
  }

  async resume(id: string): Promise<void> {
    const attempt = this.#find(id)
    if (await this.#parts.control.resume(attempt, 'owner')) return
    throw new ManyhandsError('UNSUPPORTED', `attempt ${id} is not paused by its owner`, {
      hint: 'Only what was paused by hand is resumed by hand; what the schedule paused goes on by itself.',
    })
  }

  async limit(
    id: string,
    change: { cpus?: number; memory?: ByteSize; pids?: number },
  ): Promise<void> {
    await this.#parts.control.limit(this.#find(id), change)
  }

  get policy(): HostPolicy {
    throw new ManyhandsError('UNSUPPORTED', 'policy')
  }

  setPolicy(_change: HostPolicy): Promise<void> {
    throw new ManyhandsError('UNSUPPORTED', 'setPolicy')
  }

  history(id: string): UsageSample[] {
    const { client, job, history } = this.#find(id)
    return history.samples().map((usage) => ({ ...usage, attempt: id, client, job }))
  }

  totals(): UsageTotals {
    return this.#parts.usage.totals(this.#parts.attempts.all())
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
}

function evicted(reason: string): EndIntent {
  return { phase: 'evicted', by: 'host', reason: reason.slice(0, REASON_CHARACTERS) }
}
