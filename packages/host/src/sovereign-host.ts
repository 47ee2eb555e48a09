import {
  type Ban,
  type ByteSize,
  collectGarbage,
  type Duration,
  type GcOptions,
  type GcReport,
  type GcRoom,
  type LocalTransferGovernor,
  type MannersCounts,
  ManyhandsError,
  type Network,
  type NetworkStatus,
  type Offer,
  type PeerConnection,
} from '@manyhands/core'
import type { AdmissionRequest, RuleVerdict } from './admission-request.ts'
import { explainRequest } from './admission-rules.ts'
import type { Attempt, EndIntent } from './attempt.ts'
import type { AttemptControl } from './attempt-control.ts'
import type { AttemptDesk } from './attempt-desk.ts'
import type { AttemptRegistry } from './attempt-registry.ts'
import type { BlockList } from './block-list.ts'
import { endClient } from './client-end.ts'
import type { ClientRelations } from './client-relations.ts'
import { DrainDeadline } from './drain.ts'
import type { DrainReport, Host, HostAttempt } from './host.ts'
import type { ImageNames } from './image-names.ts'
import { checkLentGpus, lendingOf } from './lending.ts'
import type { OfferBoard } from './offer-board.ts'
import type { HostPolicy } from './policy.ts'
import type { PolicyBook } from './policy-book.ts'
import { checkPolicy } from './policy-document.ts'
import type { PolicyEnforcer } from './policy-enforcer.ts'
import type { AdmissionState } from './rules/rule.ts'
import type { ScheduleKeeper } from './schedule-keeper.ts'
import type { UsageLedger } from './usage-ledger.ts'
import type { UsageMeter } from './usage-meter.ts'
import type { UsageSample, UsageTotals } from './usage-totals.ts'

/** What of a reason is kept and told. */
const REASON_CHARACTERS = 1000

export interface SovereignHostParts {
  network: Network
  instance: string
  /** Where 'attempt' and 'transfer' events come from. */
  events: EventTarget
  board: OfferBoard
  attempts: AttemptRegistry
  relations: ClientRelations
  desk: AttemptDesk
  /** Ends attempts that are kept for a last checkpoint before, if it can be made in time. */
  end(attempts: Attempt[], intent: EndIntent): Promise<void>
  meter: UsageMeter
  control: AttemptControl
  usage: UsageLedger
  admission: AdmissionState
  images: ImageNames
  /** Removes images of clients beyond what is given to them. Does not reject. */
  tidyImages(): Promise<void>
  policy: PolicyBook
  enforcer: PolicyEnforcer
  keeper: ScheduleKeeper
  blocks: BlockList
  transfers: LocalTransferGovernor
  /** What can be tidied up. */
  rooms(): GcRoom[]
  settle(): void
  /** Ends warm sandboxes that no task is in, of one client or all. */
  endWarm(client?: string): Promise<void>
  setDraining(): void
  close(): Promise<void>
}

/** The owner's rights over what runs here. */
export class SovereignHost extends EventTarget implements Host {
  readonly #parts: SovereignHostParts
  #closing: Promise<void> | undefined
  readonly #drainDeadline: DrainDeadline
  #draining: Promise<DrainReport> | undefined

  readonly #passesOn = new Set<string>()

  constructor(parts: SovereignHostParts) {
    super()
    this.#parts = parts
    this.#drainDeadline = new DrainDeadline((reason) => {
      void parts.end(parts.attempts.live(), evicted(reason))
    })
  }

  /** Who makes events makes none for nobody: there are some for every step of every attempt. */
  override addEventListener(...of: Parameters<EventTarget['addEventListener']>): void {
    super.addEventListener(...of)
    const [type] = of
    if (this.#passesOn.has(type)) return
    this.#passesOn.add(type)
    this.#parts.events.addEventListener(type, (event) => {
      this.dispatchEvent(new CustomEvent(type, { detail: (event as CustomEvent).detail }))
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
    return this.#parts.policy.document
  }

  async setPolicy(change: HostPolicy): Promise<void> {
    const { policy, admission, enforcer, keeper, board, transfers, tidyImages } = this.#parts
    const { admit } = policy.rules
    checkLentGpus(checkPolicy(change).share, admission.runtimes)
    policy.replace(change)
    transfers.setRules(policy.transfer)
    this.#parts.settle()
    const { share, gpus } = lendingOf(policy.document.share, admission.runtimes)
    admission.ledger.resize(share, gpus)
    // They hold what was promised before; nobody waits for them.
    await this.#parts.endWarm()
    // Clients hear at once that there is less; and again what became free by it.
    board.changed({ now: true })
    await Promise.all([keeper.apply(), enforcer.rejudge({ admit: policy.rules.admit !== admit })])
    board.changed({ now: true })
    await tidyImages()
  }

  history(id: string): UsageSample[] {
    const { client, job, history } = this.#find(id)
    return history.samples().map((usage) => ({ ...usage, attempt: id, client, job }))
  }

  totals(): UsageTotals {
    const { usage, attempts, transfers } = this.#parts
    return { ...usage.totals(attempts.all()), transfer: transfers.totals() }
  }

  connections(): PeerConnection[] {
    return this.#parts.network.connections()
  }

  networkStatus(): NetworkStatus {
    return this.#parts.network.status()
  }

  bans(): Ban[] {
    return this.#parts.network.bans()
  }

  offences(): MannersCounts {
    return this.#parts.network.offences()
  }

  get blocked(): string[] {
    return [...this.#parts.blocks.clients]
  }

  gc(options: GcOptions = {}): Promise<GcReport> {
    return collectGarbage(this.#parts.rooms(), options)
  }

  async explain(request: AdmissionRequest): Promise<RuleVerdict[]> {
    const imageNames = await this.#parts.images.of(request)
    return explainRequest({ ...request, imageNames }, this.#parts.admission)
  }

  async drain(
    options: { deadline?: Duration | 'never'; reason?: string } = {},
  ): Promise<DrainReport> {
    const { deadline = '30s', reason = 'the host is draining' } = options
    this.#drainDeadline.shorten(deadline, reason)
    this.#parts.setDraining()
    this.#draining ??= this.#drained()
    return this.#draining
  }

  async block(peerId: string): Promise<void> {
    const { blocks } = this.#parts
    const durable = blocks.block(peerId)
    // What cannot be written holds all the same, in this run; the owner hears of it at the end.
    durable.catch(() => {})
    await endClient(this.#parts, peerId, 'the client was blocked', () => blocks.cut(peerId))
    await durable
  }

  unblock(peerId: string): Promise<void> {
    return this.#parts.blocks.unblock(peerId)
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
    this.#drainDeadline.cancel()
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
