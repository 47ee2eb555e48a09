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
  type WireAttempt,
} from '@manyhands/core'
import type { AdmissionLedger } from './admission-ledger.ts'
import type { AdmissionRequest, RuleVerdict } from './admission-request.ts'
import { type AdmissionState, askOwner, firstRefusal, refusalError } from './admission-rules.ts'
import { Attempt, type EndIntent } from './attempt.ts'
import type { AttemptRegistry } from './attempt-registry.ts'
import type { AttemptRunner } from './attempt-runner.ts'
import type { ClientRelations } from './client-relations.ts'
import type { HostJournal } from './host-journal.ts'
import type { OfferBoard } from './offer-board.ts'

export interface AttemptDeskOptions {
  network: Network
  attempts: AttemptRegistry
  relations: ClientRelations
  ledger: AdmissionLedger
  journal: HostJournal
  board: OfferBoard
  admission: AdmissionState
  logger: Logger
  /** Late binding: the runner reports back to this desk. */
  runner(): AttemptRunner
  changed(attempt: Attempt): void
  /** The client has the end durably: what was kept for it may go. */
  acknowledged(attempt: Attempt): Promise<void>
}

type Answer = RpcResult<'attempt.offer'>['answers'][number]

/**
 * Where clients are served: offers are answered, attempts started, ends announced and acknowledged.
 * Every request is idempotent and speaks only of attempts of the peer that asks.
 */
export class AttemptDesk {
  readonly #options: AttemptDeskOptions

  constructor(options: AttemptDeskOptions) {
    this.#options = options
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
    network.handle('attempt.offer', (params, { peer }) => this.#offer(params, peer))
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
    ledger.reserve(attempt.id, attempt.limits)
    relations.touch(attempt.client)
    if (attempt.over) this.#keepOutputs(attempt)
    if (attempt.end !== undefined) relations.outbox(attempt.client, attempt.job).end(attempt)
  }

  /** The runner's news. */
  progressed(attempt: Attempt, output?: { stream: 'stdout' | 'stderr'; bytes: Uint8Array }): void {
    this.#options.relations.outbox(attempt.client, attempt.job).progress(attempt, output)
    if (output === undefined) this.#options.changed(attempt)
  }

  /** The end is durable: the reservation goes, the client hears of it. */
  sealed(attempt: Attempt): void {
    const { board, relations, logger } = this.#options
    attempt.endedAt = performance.now()
    this.#keepOutputs(attempt)
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
    for (const attempt of attempts) attempt.intend(intent)
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

  async #offer(
    params: RpcParams<'attempt.offer'>,
    client: string,
  ): Promise<RpcResult<'attempt.offer'>> {
    const { admission, board, relations } = this.#options
    relations.touch(client)
    // The owner's function is asked once per call: all attempts of a call want the same.
    const request = requestOf(client, params.spec)
    const refusedByOwner = await askOwner(request, admission.policy)
    const held = this.#options.attempts.ofClient(client).length
    const accepted: Attempt[] = []
    const answers = params.attempts.flatMap((wire): Answer[] => {
      const answered = this.#repeated(wire, client)
      if (answered !== undefined) return [answered]
      const verdict =
        refusedByOwner ?? firstRefusal(request, admission) ?? tooMany(held + accepted.length)
      if (verdict !== undefined) return [no(wire.id, refusalError(verdict))]
      // From the rules to here nothing was awaited: what they saw as free is what is reserved.
      accepted.push(this.#reserve(params, wire, client))
      return []
    })
    if (accepted.length > 0) answers.push(...(await this.#start(accepted)))
    board.changed()
    return { answers, offer: board.current() }
  }

  /** A repeated offer gets the answer of the first. */
  #repeated(wire: WireAttempt, client: string): Answer | undefined {
    const known = this.#options.attempts.get(wire.id)
    if (known === undefined) return undefined
    if (known.client === client) return { id: wire.id, accepted: true }
    const taken = new ManyhandsError('HOST_REFUSED', 'this attempt belongs to another client')
    return no(wire.id, taken)
  }

  #reserve(params: RpcParams<'attempt.offer'>, wire: WireAttempt, client: string): Attempt {
    const { attempts, ledger } = this.#options
    const attempt = new Attempt({
      id: wire.id,
      client,
      job: params.job,
      jobName: params.jobName,
      task: wire.task,
      spec: specOf(params.spec, wire),
    })
    ledger.reserve(wire.id, params.spec.resources)
    attempts.add(attempt)
    return attempt
  }

  async #start(accepted: Attempt[]): Promise<Answer[]> {
    const { attempts, journal, ledger } = this.#options
    try {
      await journal.reserve(
        accepted.map((attempt) => ({
          ...attempt.describe(),
          spec: attempt.spec,
          handle: undefined,
          end: undefined,
        })),
      )
    } catch (cause) {
      const error = toManyhandsError(cause, 'HOST_FAILED')
      return accepted.map((attempt) => {
        attempts.remove(attempt)
        ledger.release(attempt.id)
        return no(attempt.id, error)
      })
    }
    return accepted.map((attempt) => {
      this.#options.changed(attempt)
      void this.#options.runner().run(attempt)
      return { id: attempt.id, accepted: true }
    })
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
    const diskBytes = Math.min(attempt.limits.diskBytes, attempt.end?.outputs?.bytes ?? 0)
    const kept = { cpus: 0, memoryBytes: 0, diskBytes, gpus: 0, pids: 0 }
    this.#options.ledger.change(attempt.id, kept)
  }
}

function requestOf(client: string, spec: AttemptSpec): AdmissionRequest {
  const { runtime, image, resources, timeoutMs, networkProfile } = spec
  return { client, runtime, image, resources, timeoutMs, networkProfile }
}

/** The job's spec with what one attempt says differently. */
function specOf(shared: AttemptSpec, wire: WireAttempt): AttemptSpec {
  const { command, args, env, inputs, outputs } = wire
  // Most attempts say nothing: they share one object, which is journaled once.
  if ((command ?? args ?? env ?? inputs ?? outputs) === undefined) return shared
  return {
    ...shared,
    command: command ?? (args === undefined ? shared.command : undefined),
    args: args ?? (command === undefined ? shared.args : undefined),
    env: env ?? shared.env,
    inputs: inputs ?? shared.inputs,
    outputs: outputs ?? shared.outputs,
  }
}

function tooMany(held: number): RuleVerdict | undefined {
  if (held < LIMITS.attemptsPerClient) return undefined
  return {
    rule: 'attemptsPerClient',
    allowed: false,
    detail: `${held} attempts of this client are kept here already`,
    temporary: true,
  }
}

function no(id: string, error: ManyhandsError): Answer {
  return { id, accepted: false, error: error.toJSON() }
}
