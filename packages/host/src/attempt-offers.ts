import {
  type AttemptSpec,
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
import type { AdmissionState } from './rules/rule.ts'
import { gpuIdsOf } from './rules/runtime-rules.ts'

export interface AttemptOffersOptions {
  attempts: AttemptRegistry
  ledger: AdmissionLedger
  journal: HostJournal
  admission: AdmissionState
  images: ImageNames
  /** The reservation is durable: it may run. */
  accepted(attempt: Attempt): void
}

type Answer = RpcResult<'attempt.offer'>['answers'][number]

/** Answers clients that offer attempts: rules, then one synchronous reservation, then the journal. */
export class AttemptOffers {
  readonly #options: AttemptOffersOptions

  constructor(options: AttemptOffersOptions) {
    this.#options = options
  }

  /** Reserves what the rules allow. Resolves when the reservations are durable. */
  async answer(params: RpcParams<'attempt.offer'>, client: string): Promise<Answer[]> {
    const { admission } = this.#options
    // The owner's function is asked once per call: all attempts of a call want the same.
    // Asked once per call as well, before anything is decided.
    const imageNames = await this.#options.images.of(params.spec)
    const request = requestOf(client, params.spec, imageNames)
    const refusedByOwner = await askOwner(request, admission.policy)
    const held = this.#options.attempts.ofClient(client).length
    const accepted: Attempt[] = []
    const answers = params.attempts.flatMap((wire): Answer[] => {
      const answered = this.#repeated(wire, client)
      if (answered !== undefined) return [answered]
      const own = wire.inputs === undefined ? request : requestOf(client, specOf(params.spec, wire))
      const verdict =
        refusedByOwner ?? firstRefusal(own, admission) ?? tooMany(held + accepted.length)
      if (verdict !== undefined) return [no(wire.id, refusalError(verdict))]
      // From the rules to here nothing was awaited: what they saw as free is what is reserved.
      const attempt = this.#reserve(params, wire, client, imageNames)
      if (attempt === undefined) return [no(wire.id, refusalError(NO_ROOM))]
      accepted.push(attempt)
      return []
    })
    if (accepted.length > 0) answers.push(...(await this.#start(accepted)))
    return answers
  }

  /** A repeated offer gets the answer of the first. */
  #repeated(wire: WireAttempt, client: string): Answer | undefined {
    const known = this.#options.attempts.get(wire.id)
    if (known === undefined) return undefined
    if (known.client === client) return { id: wire.id, accepted: true }
    const taken = new ManyhandsError('HOST_REFUSED', 'this attempt belongs to another client')
    return no(wire.id, taken)
  }

  #reserve(
    params: RpcParams<'attempt.offer'>,
    wire: WireAttempt,
    client: string,
    imageNames: readonly string[] | undefined,
  ): Attempt | undefined {
    const { admission, attempts, ledger } = this.#options
    const { resources, runtime, gpu } = params.spec
    const wish = { need: gpu, within: gpuIdsOf(runtime, admission) }
    if (ledger.reserve(wire.id, resources, wish) !== undefined) return undefined
    const attempt = new Attempt({
      id: wire.id,
      client,
      job: params.job,
      jobName: params.jobName,
      task: wire.task,
      spec: specOf(params.spec, wire),
      gpuIds: [...ledger.gpuIdsOf(wire.id)],
      imageNames,
    })
    attempts.add(attempt)
    return attempt
  }

  async #start(accepted: Attempt[]): Promise<Answer[]> {
    const { attempts, journal, ledger } = this.#options
    try {
      await journal.reserve(
        accepted.map((attempt) => ({
          ...attempt.describe(),
          ...attempt.state,
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
