import { setTimeout as delay } from 'node:timers/promises'
import {
  type AttemptSpec,
  LIMITS,
  type Logger,
  ManyhandsError,
  type Network,
  PROTOCOLS,
  type RpcParams,
  type RpcResult,
  toManyhandsError,
} from '@manyhands/core'
import type { AdmissionLedger } from './admission-ledger.ts'
import { type AdmissionState, askOwner, firstRefusal, refusalError } from './admission-rules.ts'
import { Attempt, type EndIntent } from './attempt.ts'
import type { AttemptRunner } from './attempt-runner.ts'
import { EventOutbox } from './event-outbox.ts'
import type { AdmissionRequest, RuleVerdict } from './host.ts'
import type { HostJournal } from './host-journal.ts'
import { LeaseKeeper } from './lease-keeper.ts'
import type { OfferBoard } from './offer-board.ts'

/** The shortest and longest heartbeat that a client may propose, ms. */
const HEARTBEAT_MS = { least: 100, usual: 5_000, most: 60_000 }

export interface AttemptDeskOptions {
  network: Network
  ledger: AdmissionLedger
  journal: HostJournal
  board: OfferBoard
  admission: AdmissionState
  orphanMs: number
  logger: Logger
  /** Late binding: the runner reports back to this desk. */
  runner(): AttemptRunner
  changed(attempt: Attempt): void
  /** The client has the end durably: what was kept for it may go. */
  acknowledged(attempt: Attempt): Promise<void>
}

/** How long a host that goes away waits for clients to fetch what is sealed. */
const FLUSH_TURNS = 250
const FLUSH_TURN_MS = 20

interface ClientRelation {
  lease: LeaseKeeper
  outboxes: Map<string, EventOutbox>
  /** Attempts that this host keeps for the client, sealed ones included. */
  held: number
}

/**
 * Where clients are served: offers are answered, attempts started, ends announced and acknowledged.
 * Every request is idempotent and speaks only of attempts of the peer that asks.
 */
export class AttemptDesk {
  readonly #options: AttemptDeskOptions
  readonly #attempts = new Map<string, Attempt>()
  readonly #clients = new Map<string, ClientRelation>()

  constructor(options: AttemptDeskOptions) {
    this.#options = options
  }

  get attempts(): ReadonlyMap<string, Attempt> {
    return this.#attempts
  }

  /** How many are not over. */
  get liveCount(): number {
    let count = 0
    for (const attempt of this.#attempts.values()) if (!attempt.over) count += 1
    return count
  }

  /** Resolves when nothing runs and nothing is being cleaned up any more. */
  async idle(): Promise<void> {
    await Promise.all([...this.#attempts.values()].map((attempt) => attempt.done.promise))
  }

  /** Attempts that are not over. */
  live(): Attempt[] {
    return [...this.#attempts.values()].filter((attempt) => !attempt.over)
  }

  /** Answers requests from now on. */
  async open(): Promise<void> {
    const { network, board } = this.#options
    network.handle('hello', async ({ heartbeatMs }, { peer }) => {
      const agreed = Math.min(HEARTBEAT_MS.most, Math.max(HEARTBEAT_MS.least, heartbeatMs))
      this.#relation(peer).lease.setHeartbeat(agreed)
      return { offer: board.current(), heartbeatMs: agreed }
    })
    network.handle('offer.get', async () => ({ offer: board.current() }))
    network.handle('offer.list', async () => ({
      offers: [board.current(), ...network.offers()].slice(0, LIMITS.offersPerAnswer),
    }))
    network.handle('attempt.offer', (params, { peer }) => this.#offer(params, peer))
    network.handle('attempt.cancel', async ({ ids, reason }, { peer }) => {
      const owned = this.#ownedBy(peer, ids)
      for (const attempt of owned) attempt.intend({ phase: 'canceled', by: 'client', reason })
      // Nobody will fetch what is sealed already.
      const sealed = owned.filter((attempt) => attempt.over).map((attempt) => attempt.id)
      return sealed.length === 0 ? {} : this.#acknowledge(sealed, peer)
    })
    network.handle('attempt.acknowledge', ({ ids }, { peer }) => this.#acknowledge(ids, peer))
    network.handle('attempt.inventory', async ({ job }, { peer }) => ({
      attempts: [...this.#attempts.values()]
        .filter((attempt) => attempt.client === peer && (job === undefined || attempt.job === job))
        .map(({ id, job: jobId, phase }) => ({ id, job: jobId, phase })),
    }))
    await network.handleStream(PROTOCOLS.events, async (stream, { peer }) => {
      const header = await stream.next()
      if (header === undefined) return
      const job = new TextDecoder().decode(header)
      const ofJob = this.live().filter((attempt) => attempt.client === peer && attempt.job === job)
      // A stream may come before the job's first offer, so unknown jobs are let in; but not any number.
      const { outboxes } = this.#relation(peer)
      if (!outboxes.has(job) && outboxes.size >= LIMITS.jobsPerClient) {
        throw new ManyhandsError('LIMIT', `client ${peer} follows too many jobs`)
      }
      try {
        await this.#outbox(peer, job).feed(stream, ofJob)
      } finally {
        this.#forgetIdle(peer, job)
      }
    })
  }

  /** Takes up attempts of an earlier life. */
  restore(attempt: Attempt): void {
    this.#attempts.set(attempt.id, attempt)
    this.#options.ledger.reserve(attempt.id, attempt.limits)
    this.#relation(attempt.client).held += 1
    if (attempt.over) this.#keepOutputs(attempt)
    if (attempt.end !== undefined) this.#outbox(attempt.client, attempt.job).end(attempt)
  }

  /** The runner's news. */
  progressed(attempt: Attempt, output?: { stream: 'stdout' | 'stderr'; bytes: Uint8Array }): void {
    this.#outbox(attempt.client, attempt.job).progress(attempt, output)
    if (output === undefined) this.#options.changed(attempt)
  }

  /** The end is durable: the reservation goes, the client hears of it. */
  sealed(attempt: Attempt): void {
    attempt.endedAt = performance.now()
    this.#keepOutputs(attempt)
    this.#options.board.changed()
    this.#outbox(attempt.client, attempt.job).end(attempt)
    this.#options.changed(attempt)
    // Who ends its own attempt waits for no result: nothing is kept for it.
    if (attempt.intent?.by === 'client') {
      void attempt.done.promise
        .then(() => this.#acknowledge([attempt.id], attempt.client))
        .catch((cause) => this.#warn('forgetting a canceled attempt failed', attempt, cause))
    }
  }

  /** Ends attempts; resolves when nothing of them runs any more. */
  async end(attempts: Attempt[], intent: EndIntent): Promise<void> {
    for (const attempt of attempts) attempt.intend(intent)
    await Promise.all(attempts.map((attempt) => attempt.done.promise))
  }

  /** Waits a moment until clients that listen have acknowledged what there is to tell. */
  async flush(): Promise<void> {
    const waiting = () =>
      this.#clients
        .values()
        .some(({ outboxes }) => outboxes.values().some((outbox) => outbox.telling))
    for (let turn = 0; turn < FLUSH_TURNS && waiting(); turn += 1) await delay(FLUSH_TURN_MS)
  }

  close(): void {
    for (const { lease, outboxes } of this.#clients.values()) {
      lease.close()
      for (const outbox of outboxes.values()) outbox.close()
    }
  }

  async #offer(
    params: RpcParams<'attempt.offer'>,
    client: string,
  ): Promise<RpcResult<'attempt.offer'>> {
    const relation = this.#relation(client)
    relation.lease.touch()
    const answers: RpcResult<'attempt.offer'>['answers'] = []
    const accepted: Attempt[] = []
    // The owner's function is asked once per call: all attempts of a call want the same.
    const shared = requestOf(client, params.spec)
    const refusedByOwner = await askOwner(shared, this.#options.admission.policy)
    for (const wire of params.attempts) {
      const known = this.#attempts.get(wire.id)
      if (known !== undefined) {
        answers.push(
          known.client === client
            ? { id: wire.id, accepted: true }
            : no(
                wire.id,
                new ManyhandsError('HOST_REFUSED', 'this attempt belongs to another client'),
              ),
        )
        continue
      }
      const verdict =
        refusedByOwner ?? firstRefusal(shared, this.#options.admission) ?? tooMany(relation)
      if (verdict !== undefined) {
        answers.push(no(wire.id, refusalError(verdict)))
        continue
      }
      // From the rules to here nothing was awaited: what they saw as free is what is reserved.
      this.#options.ledger.reserve(wire.id, params.spec.resources)
      const { command, args, env, inputs, outputs } = wire
      const differs = command ?? args ?? env ?? inputs ?? outputs
      const spec: AttemptSpec =
        differs === undefined
          ? params.spec
          : {
              ...params.spec,
              command: command ?? (args === undefined ? params.spec.command : undefined),
              args: args ?? (command === undefined ? params.spec.args : undefined),
              env: env ?? params.spec.env,
              inputs: inputs ?? params.spec.inputs,
              outputs: outputs ?? params.spec.outputs,
            }
      const attempt = new Attempt({
        id: wire.id,
        client,
        job: params.job,
        jobName: params.jobName,
        task: wire.task,
        spec,
      })
      this.#attempts.set(wire.id, attempt)
      relation.held += 1
      accepted.push(attempt)
    }
    if (accepted.length > 0) await this.#start(accepted, answers)
    this.#options.board.changed()
    return { answers, offer: this.#options.board.current() }
  }

  async #start(accepted: Attempt[], answers: RpcResult<'attempt.offer'>['answers']): Promise<void> {
    try {
      await this.#options.journal.reserve(
        accepted.map((attempt) => ({
          ...attempt.describe(),
          spec: attempt.spec,
          handle: undefined,
          end: undefined,
        })),
      )
    } catch (cause) {
      for (const attempt of accepted) {
        this.#drop(attempt)
        this.#options.ledger.release(attempt.id)
        answers.push(no(attempt.id, toManyhandsError(cause, 'HOST_FAILED')))
      }
      return
    }
    for (const attempt of accepted) {
      answers.push({ id: attempt.id, accepted: true })
      this.#options.changed(attempt)
      void this.#options.runner().run(attempt)
    }
  }

  async #acknowledge(ids: string[], client: string): Promise<Record<string, never>> {
    const over = this.#ownedBy(client, ids).filter((attempt) => attempt.over)
    await this.#options.journal.forget(over.map((attempt) => attempt.id))
    for (const attempt of over) {
      this.#drop(attempt)
      this.#options.ledger.release(attempt.id)
      this.#clients.get(client)?.outboxes.get(attempt.job)?.acknowledged(attempt.id)
      await this.#options.acknowledged(attempt)
    }
    if (over.length > 0) this.#options.board.changed()
    for (const job of new Set(over.map((attempt) => attempt.job))) this.#forgetIdle(client, job)
    return {}
  }

  /** What is sealed needs no processor any more, but its outputs keep their place on the disk. */
  #keepOutputs(attempt: Attempt): void {
    const diskBytes = Math.min(attempt.limits.diskBytes, attempt.end?.outputs?.bytes ?? 0)
    this.#options.ledger.change(attempt.id, {
      cpus: 0,
      memoryBytes: 0,
      diskBytes,
      gpus: 0,
      pids: 0,
    })
  }

  #warn(message: string, attempt: Attempt, cause: unknown): void {
    this.#options.logger.warn(message, { attempt: attempt.id, cause: String(cause) })
  }

  #drop(attempt: Attempt): void {
    if (!this.#attempts.delete(attempt.id)) return
    const relation = this.#clients.get(attempt.client)
    if (relation !== undefined) relation.held -= 1
  }

  #ownedBy(client: string, ids: string[]): Attempt[] {
    return ids
      .map((id) => this.#attempts.get(id))
      .filter((attempt) => attempt !== undefined && attempt.client === client) as Attempt[]
  }

  #relation(client: string): ClientRelation {
    let relation = this.#clients.get(client)
    if (relation === undefined) {
      const live = () => this.live().filter((attempt) => attempt.client === client)
      relation = {
        outboxes: new Map(),
        held: 0,
        lease: new LeaseKeeper({
          heartbeatMs: HEARTBEAT_MS.usual,
          orphanMs: this.#options.orphanMs,
          live,
          renew: async (ids, timeoutMs) => {
            const params = { ids, offer: this.#options.board.current() }
            const { unwanted } = await this.#options.network.call(client, 'lease.renew', params, {
              timeoutMs,
            })
            return unwanted
          },
          unwanted: (ids) => {
            for (const attempt of this.#ownedBy(client, ids)) {
              attempt.intend({ phase: 'canceled', by: 'client', reason: 'no longer wanted' })
            }
          },
          orphaned: (attempts) => {
            for (const attempt of attempts) {
              attempt.intend({
                phase: 'canceled',
                by: 'host',
                reason: 'the client did not come back',
              })
            }
          },
        }),
      }
      this.#clients.set(client, relation)
    }
    return relation
  }

  #outbox(client: string, job: string): EventOutbox {
    const { outboxes } = this.#relation(client)
    let outbox = outboxes.get(job)
    if (outbox === undefined) {
      outbox = new EventOutbox()
      outboxes.set(job, outbox)
    }
    return outbox
  }

  /** Forgets a job that has nothing left to tell. */
  #forgetIdle(client: string, job: string): void {
    if (this.#clients.get(client)?.outboxes.get(job)?.listening) return
    const attempts = this.#attempts.values()
    if (attempts.some((attempt) => attempt.client === client && attempt.job === job)) return
    this.#clients.get(client)?.outboxes.delete(job)
    this.forgetClient(client)
  }

  /** Forgets a client for whom nothing is kept and who is not there. */
  forgetClient(client: string): void {
    const relation = this.#clients.get(client)
    if (relation === undefined || relation.held > 0 || this.#options.network.isConnected(client))
      return
    relation.lease.close()
    for (const outbox of relation.outboxes.values()) outbox.close()
    this.#clients.delete(client)
  }

  /** Lets go of everything that is kept for a client. */
  async abandon(client: string): Promise<void> {
    const over = [...this.#attempts.values()].filter(
      (attempt) => attempt.client === client && attempt.over,
    )
    await this.#acknowledge(
      over.map((attempt) => attempt.id),
      client,
    )
  }

  /** Lets go of sealed ends that nobody fetched for too long. */
  async expire(olderThanMs: number): Promise<void> {
    const now = performance.now()
    const old = [...this.#attempts.values()].filter(
      (attempt) => attempt.over && now - (attempt.endedAt ?? attempt.acceptedAt) > olderThanMs,
    )
    for (const attempt of old) await this.#acknowledge([attempt.id], attempt.client)
    for (const client of [...this.#clients.keys()]) this.forgetClient(client)
  }
}

function requestOf(client: string, spec: AttemptSpec): AdmissionRequest {
  return {
    client,
    runtime: spec.runtime,
    image: spec.image,
    resources: spec.resources,
    timeoutMs: spec.timeoutMs,
    networkProfile: spec.networkProfile,
  }
}

function tooMany(relation: ClientRelation): RuleVerdict | undefined {
  if (relation.held < LIMITS.attemptsPerClient) return undefined
  return {
    rule: 'attemptsPerClient',
    allowed: false,
    detail: `${relation.held} attempts of this client are kept here already`,
    temporary: true,
  }
}

function no(id: string, error: ManyhandsError) {
  return { id, accepted: false, error: error.toJSON() }
}
