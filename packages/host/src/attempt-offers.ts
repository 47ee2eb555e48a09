import {
  attemptSpecOf,
  LIMITS,
  ManyhandsError,
  type RpcParams,
  type RpcResult,
  toManyhandsError,
  type WireAttempt,
} from '@manyhands/core'
import type { AdmissionLedger } from './admission-ledger.ts'
import { type RuleVerdict, requestOf } from './admission-request.ts'
import { firstRefusal, refusalError } from './admission-rules.ts'
import { askOwner } from './ask-owner.ts'
import { Attempt } from './attempt.ts'
import type { AttemptRegistry } from './attempt-registry.ts'
import type { HostJournal } from './host-journal.ts'
import type { ImageNames } from './image-names.ts'
import type { JobOwners } from './job-owners.ts'
import type { AdmissionState } from './rules/rule.ts'
import { gpuIdsOf } from './rules/runtime-rules.ts'
import type { WarmPool } from './warm/warm-pool.ts'
import type { WarmSlot } from './warm/warm-slot.ts'

export interface AttemptOffersOptions {
  attempts: AttemptRegistry
  ledger: AdmissionLedger
  journal: HostJournal
  admission: AdmissionState
  images: ImageNames
  warm: WarmPool
  owners: JobOwners
  /** The reservation is durable: it may run. */
  accepted(attempt: Attempt): void
}

type Answer = RpcResult<'attempt.offer'>['answers'][number]

/** Answers clients that offer attempts: rules, then one synchronous reservation, then the journal. */
export class AttemptOffers {
  readonly #options: AttemptOffersOptions
  /** Answers that wait for their reservations to be durable. */
  readonly #starting = new Map<string, Promise<Answer[]>>()

  constructor(options: AttemptOffersOptions) {
    this.#options = options
  }

  /** Reserves what the rules allow. Resolves when the reservations are durable. */
  async answer(params: RpcParams<'attempt.offer'>, client: string): Promise<Answer[]> {
    const { admission, owners } = this.#options
    const taken = owners.refusal(client, params.owner)
    if (taken !== undefined) return params.attempts.map(({ id }) => no(id, taken))
    // The owner's function is asked once per call: all attempts of a call want the same.
    // Asked once per call as well, before anything is decided.
    const imageNames = await this.#options.images.of(params.spec)
    const request = requestOf(client, params.spec, imageNames)
    const refusedByOwner = await askOwner(request, admission.policy)
    const { warm, attempts } = this.#options
    const mine = { client, job: params.job, spec: params.spec }
    // Asked before, so that nobody's sandbox ends for what is refused anyway.
    const before = refusedByOwner ?? firstRefusal(request, admission)
    if (before === undefined || before.rule === 'free') {
      await warm.makeRoom(params.attempts.length, mine)
    }
    const held = attempts.ofClient(client).length
    const accepted: Attempt[] = []
    const answers = params.attempts.flatMap((wire): (Answer | Promise<Answer>)[] => {
      const answered = this.#repeated(wire, client)
      if (answered !== undefined) return [answered]
      const own =
        wire.inputs === undefined
          ? request
          : requestOf(client, attemptSpecOf(params.spec, wire), imageNames)
      const slot = warm.claim(mine)
      const verdict =
        refusedByOwner ?? firstRefusal(own, admission) ?? tooMany(held + accepted.length)
      const refused = (why: RuleVerdict) => {
        if (slot !== undefined) warm.giveBack(slot)
        return [no(wire.id, refusalError(why))]
      }
      if (verdict !== undefined) return refused(verdict)
      // From the rules to here nothing was awaited: what they saw as free is what is reserved.
      const attempt = this.#reserve(params, wire, client, imageNames, slot)
      if (attempt === undefined) return refused(NO_ROOM)
      accepted.push(attempt)
      return []
    })
    if (accepted.length > 0) {
      // In one group with the reservations.
      const noted = owners.note(client, params.job, params.owner)
      const starting = this.#start(accepted, noted)
      for (const { id } of accepted) this.#starting.set(id, starting)
      answers.push(...(await starting))
      for (const { id } of accepted) this.#starting.delete(id)
    }
    return await Promise.all(answers)
  }

  /** A repeated offer gets the answer of the first, and no sooner. */
  #repeated(wire: WireAttempt, client: string): Answer | Promise<Answer> | undefined {
    const known = this.#options.attempts.get(wire.id)
    if (known === undefined) return undefined
    if (known.client === client) {
      const starting = this.#starting.get(wire.id)
      const yes = { id: wire.id, accepted: true }
      return starting?.then((all) => all.find(({ id }) => id === wire.id) ?? yes) ?? yes
    }
    const taken = new ManyhandsError('HOST_REFUSED', 'this attempt belongs to another client')
    return no(wire.id, taken)
  }

  #reserve(
    params: RpcParams<'attempt.offer'>,
    wire: WireAttempt,
    client: string,
    imageNames: readonly string[] | undefined,
    slot: WarmSlot | undefined,
  ): Attempt | undefined {
    const { admission, attempts, ledger } = this.#options
    const { resources, runtime, gpu } = params.spec
    // A sandbox that goes on has the GPUs that it began with.
    const within =
      slot === undefined || slot.ending ? gpuIdsOf(runtime, admission) : new Set(slot.gpuIds)
    const wish = { need: gpu, within }
    if (ledger.reserve(wire.id, resources, wish) !== undefined) return undefined
    const attempt = new Attempt({
      id: wire.id,
      client,
      job: params.job,
      jobName: params.jobName,
      task: wire.task,
      nonce: wire.nonce,
      proofs: params.proofs,
      spec: attemptSpecOf(params.spec, wire),
      gpuIds: [...ledger.gpuIdsOf(wire.id)],
      imageNames,
    })
    attempt.warm = slot
    attempts.add(attempt)
    return attempt
  }

  async #start(accepted: Attempt[], noted: Promise<void>): Promise<Answer[]> {
    const { attempts, journal, ledger } = this.#options
    try {
      const reserved = journal.reserve(
        accepted.map((attempt) => {
          const { client, job, jobName, task, spec, nonce, phase, state } = attempt
          const none = { handle: undefined, end: undefined }
          return { ...state, client, job, jobName, task, spec, nonce, phase, ...none }
        }),
      )
      await Promise.all([reserved, noted])
    } catch (cause) {
      const error = toManyhandsError(cause, 'HOST_FAILED')
      return accepted.map((attempt) => {
        attempts.remove(attempt)
        ledger.release(attempt.id)
        if (attempt.warm !== undefined) this.#options.warm.giveBack(attempt.warm)
        attempt.done.resolve()
        return no(attempt.id, error)
      })
    }
    return accepted.map((attempt) => {
      this.#options.accepted(attempt)
      return { id: attempt.id, accepted: true }
    })
  }
}

/** The rules have looked at the same numbers, so this is a last line behind them. */
const NO_ROOM: RuleVerdict = {
  rule: 'free',
  allowed: false,
  detail: 'nothing is free',
  temporary: true,
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
