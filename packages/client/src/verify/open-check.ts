import {
  type Comparator,
  type ErrorDocument,
  ManyhandsError,
  type SignedReceipt,
  type TaskResult,
} from '@manyhands/core'
import type { Task } from '../task.ts'
import {
  type Agreement,
  type AgreementStep,
  type CheckedResult,
  openAgreement,
  withoutHosts,
  withResult,
} from './agreement.ts'
import { compareReplicas } from './compare-replicas.ts'
import { type Apart, type HostOrigin, independent } from './independence.ts'

export type CheckStep = Exclude<AgreementStep, { step: 'compare' }>

/** The check of one task: who was asked, what they said, and how far they agree. Results go by their hosts. */
export class OpenCheck {
  readonly key: string
  agreement: Agreement
  /** Those that are to give a result. */
  readonly replicas = new Set<Task>()
  /** How many there ever were. */
  asked = 0
  readonly #results = new Map<string, TaskResult>()
  #arrived: CheckedResult[] = []
  /** Who could not do it, each independent of the others. */
  readonly #refused: HostOrigin[] = []
  #failure: Pick<ErrorDocument, 'code' | 'message'> | undefined
  #advancing = false

  /** @param first - who gave the result that is checked */
  constructor(key: string, first: HostOrigin, how: { wanted: number; apart: Apart | undefined }) {
    this.key = key
    this.agreement = withResult(openAgreement(how.wanted, how.apart), {
      id: first.peer,
      host: first,
    })
  }

  arrived(result: TaskResult, host: HostOrigin): void {
    this.#results.set(host.peer, result)
    this.#arrived.push({ id: host.peer, host })
  }

  /** A host that was asked could not do it. */
  failed(error: ErrorDocument | undefined, host: HostOrigin | undefined): void {
    this.#failure = error ?? { code: 'HOST_FAILED', message: 'it could not run again' }
    if (host !== undefined) this.#refused.push(host)
  }

  /** Whether a host is one of those that could not do it, or no other word than theirs. */
  hasRefused(host: HostOrigin): boolean {
    return this.#refused.some((one) => !independent(one, host, this.agreement.apart))
  }

  /**
   * Compares what is here. Undefined while another call of it goes on, which takes care of everything.
   *
   * @param first - the result that is checked
   * @param isWrong - whose word counts for nothing
   * @throws RESULT_DISPUTED when more hosts could not run it again than could; as compareReplicas
   */
  async advance(
    comparator: Comparator,
    first: () => Promise<TaskResult>,
    isWrong: (peer: string) => boolean,
  ): Promise<CheckStep | undefined> {
    if (this.#advancing) return undefined
    this.#advancing = true
    try {
      for (;;) {
        for (const result of this.#arrived.splice(0)) {
          this.agreement = withResult(this.agreement, result)
        }
        this.agreement = withoutHosts(this.agreement, isWrong)
        const { agreement, step } = await compareReplicas(this.agreement, comparator, (host) =>
          this.resultOf(host, first),
        )
        this.agreement = agreement
        if (this.#arrived.length > 0) continue
        if (step.step === 'ask' && this.#isOutvoted) throw this.#unconfirmed()
        return step
      }
    } finally {
      this.#advancing = false
    }
  }

  async resultOf(host: string, first: () => Promise<TaskResult>): Promise<TaskResult> {
    const known = this.#results.get(host) ?? (await first())
    this.#results.set(host, known)
    return known
  }

  /** What hosts have signed. */
  get receipts(): SignedReceipt[] {
    return [...this.#results.values()].flatMap(({ receipt }) => receipt ?? [])
  }

  get #isOutvoted(): boolean {
    const { wanted, results } = this.agreement
    return this.#refused.length >= wanted && this.#refused.length > results.length
  }

  #unconfirmed(): ManyhandsError {
    const { code, message } = this.#failure!
    return new ManyhandsError(
      'RESULT_DISPUTED',
      `task ${this.key}: ${this.#refused.length} other hosts could not run it: ${code}: ${message}`,
      { details: { receipts: this.receipts } },
    )
  }
}
