import {
  LIMITS,
  type Logger,
  type Network,
  PROTOCOLS,
  type RuntimeOutput,
  type StreamedOutput,
} from '@manyhands/core'
import type { AdmissionLedger } from './admission-ledger.ts'
import type { Attempt, EndIntent } from './attempt.ts'
import { AttemptOffers } from './attempt-offers.ts'
import type { AttemptRegistry } from './attempt-registry.ts'
import type { AttemptRunner } from './attempt-runner.ts'
import type { ClientRelations } from './client-relations.ts'
import type { HostJournal } from './host-journal.ts'
import type { ImageNames } from './image-names.ts'
import type { JobOwners } from './job-owners.ts'
import type { LimitBackoff } from './limit-backoff.ts'
import type { OfferBoard } from './offer-board.ts'
import type { AdmissionState } from './rules/rule.ts'
import type { SharedOutputs } from './shared-outputs.ts'
import type { UsageLedger } from './usage-ledger.ts'
import type { WarmPool } from './warm/warm-pool.ts'

export interface AttemptDeskOptions {
  network: Network
  attempts: AttemptRegistry
  relations: ClientRelations
  ledger: AdmissionLedger
  journal: HostJournal
  board: OfferBoard
  admission: AdmissionState
  images: ImageNames
  warm: WarmPool
  usage: UsageLedger
  owners: JobOwners
  shared: SharedOutputs
  logger: Logger
  backoff: LimitBackoff
  /** Late binding: the runner reports back to this desk. */
  runner(): AttemptRunner
  changed(attempt: Attempt): void
  /** The client has the end durably: what was kept for it may go. */
  acknowledged(attempt: Attempt): Promise<void>
}

/**
 * Where clients are served: offers are answered, attempts started, ends announced and acknowledged.
 * Every request is idempotent and speaks only of attempts of the peer that asks.
 */
export class AttemptDesk {
  readonly #options: AttemptDeskOptions
  readonly #offers: AttemptOffers

  constructor(options: AttemptDeskOptions) {
    this.#options = options
    this.#offers = new AttemptOffers({
      ...options,
      accepted: (attempt) => {
        options.usage.began(attempt)
        options.changed(attempt)
        void options.runner().run(attempt)
      },
    })
  }

  /** Answers requests from now on. */
  async open(): Promise<void> {
    const { network, board, attempts, relations } = this.#options
    network.handle('hello', async ({ heartbeatMs }, { peer }) => ({
      offer: board.current(),
      heartbeatMs: relations.greet(peer, heartbeatMs),
    }))
    network.handle('offer.get', async () => ({ offer: board.current() }))
    network.handle('offer.list', async () => ({
      offers: [board.current(), ...network.offers()].slice(0, LIMITS.offersPerAnswer),
    }))
    network.handle('attempt.offer', async (params, { peer }) => {
      relations.touch(peer)
      const answers = await this.#offers.answer(params, peer)
      board.changed()
      return { answers, offer: board.current() }
    })
    network.handle('attempt.cancel', async ({ ids, reason }, { peer }) => {
      const owned = attempts.ownedBy(peer, ids)
      for (const attempt of owned) attempt.intend({ phase: 'canceled', by: 'client', reason })
      // Nobody will fetch what is sealed already.
      await this.#forget(owned)
      return {}
    })
    network.handle('attempt.acknowledge', async ({ ids }, { peer }) => {
      await this.#forget(attempts.ownedBy(peer, ids))
      return {}
    })
    network.handle('attempt.share', async ({ peer: other, parts }, { peer }) => {
      const owned = parts.map(({ id, path }) => {
        const [attempt] = attempts.ownedBy(peer, [id])
        return attempt === undefined ? undefined : { attempt, path }
      })
      return { roots: await this.#options.shared.share(owned, other) }
    })
    network.handle('attempt.inventory', async ({ job }, { peer }) => ({
      attempts: attempts
        .ofClient(peer)
        .filter((attempt) => job === undefined || attempt.job === job)
        .map(({ id, job: jobId, phase }) => ({ id, job: jobId, phase })),
    }))
    await network.handleStream(PROTOCOLS.events, async (stream, { peer }) => {
      const header = await stream.next()
      if (header !== undefined) await relations.tell(peer, new TextDecoder().decode(header), stream)
    })
  }

  /** Takes up attempts of an earlier life. */
  restore(attempt: Attempt): void {
    const { attempts, ledger, relations } = this.#options
    attempts.add(attempt)
    ledger.restore(attempt.id, attempt.limits, attempt.gpuIds)
    relations.touch(attempt.client)
    if (attempt.over) this.#keepOutputs(attempt)
    if (attempt.end !== undefined) relations.outbox(attempt.client, attempt.job).end(attempt)
  }

  /** Its phase or its limits changed, or it wrote something. */
  progressed(attempt: Attempt, output?: RuntimeOutput): void {
    this.#options.relations.outbox(attempt.client, attempt.job).progress(attempt, output)
    if (output === undefined) this.#options.changed(attempt)
  }

  /** A file that it wrote is complete, and is here. */
  streamed(attempt: Attempt, file: StreamedOutput): void {
    this.#options.relations.outbox(attempt.client, attempt.job).output(attempt, file)
  }

  /** A sample of it was taken. */
  measured(attempt: Attempt): void {
    this.#options.relations.outbox(attempt.client, attempt.job).progress(attempt)
  }

  /** The end is durable: the reservation goes, the client hears of it. */
  sealed(attempt: Attempt): void {
    const { board, relations, logger } = this.#options
    attempt.endedAt = performance.now()
    this.#options.attempts.ended(attempt)
    this.#keepOutputs(attempt)
    this.#options.warm.rest(attempt)
    if (attempt.end !== undefined) this.#options.backoff.ended(attempt.client, attempt.end)
    board.changed()
    relations.outbox(attempt.client, attempt.job).end(attempt)
    this.#options.changed(attempt)
    if (attempt.intent?.by !== 'client') return
    // Who ends its own attempt waits for no result: nothing is kept for it.
    void attempt.done.promise
      .then(() => this.#forget([attempt]))
      .catch((cause) => {
        logger.warn('forgetting a canceled attempt failed', {
          attempt: attempt.id,
          cause: String(cause),
        })
      })
  }

  /** Ends attempts; resolves when nothing of them runs any more. */
  async end(attempts: Attempt[], intent: EndIntent): Promise<void> {
    for (const attempt of attempts) {
      if (!attempt.intend(intent)) continue
      // The act does not wait for it; but a host that dies on the way knows the word after its restart.
      this.#options.journal.changed(attempt.state).catch((cause) => {
        this.#options.logger.warn('an intent could not be journaled', { cause: String(cause) })
      })
    }
    await Promise.all(attempts.map((attempt) => attempt.done.promise))
  }

  /** Lets go of everything that is kept for a client. */
  abandon(client: string): Promise<void> {
    return this.#forget(this.#options.attempts.ofClient(client))
  }

  /** Lets go of sealed ends that nobody fetched for too long. */
  async expire(olderThanMs: number): Promise<void> {
    const now = performance.now()
    const old = this.#options.attempts
      .all()
      .filter((attempt) => now - (attempt.endedAt ?? now) > olderThanMs)
      .toArray()
    await this.#forget(old)
    this.#options.relations.forgetAbsent()
  }

  /** Ends that are kept no longer; attempts that still run are left alone. */
  async #forget(candidates: Attempt[]): Promise<void> {
    const { attempts, board, journal, ledger, relations } = this.#options
    const over = candidates.filter((attempt) => attempt.over)
    if (over.length === 0) return
    await journal.forget(over.map((attempt) => attempt.id))
    for (const attempt of over) {
      if (!attempts.remove(attempt)) continue
      ledger.release(attempt.id)
      relations.acknowledged(attempt)
      await this.#options.acknowledged(attempt)
    }
    const jobs = new Map(over.map(({ client, job }) => [`${client} ${job}`, { client, job }]))
    for (const { client, job } of jobs.values()) relations.forgetJob(client, job)
    board.changed()
  }

  /** What is sealed needs no processor any more, but its outputs keep their place on the disk. */
  #keepOutputs(attempt: Attempt): void {
    const { outputs, checkpoint } = attempt.end ?? {}
    const left = (outputs?.bytes ?? 0) + (checkpoint?.bytes ?? 0)
    const diskBytes = Math.min(attempt.limits.diskBytes, left)
    const kept = { cpus: 0, memoryBytes: 0, diskBytes, gpus: 0, pids: 0 }
    this.#options.ledger.change(attempt.id, kept)
  }
}
