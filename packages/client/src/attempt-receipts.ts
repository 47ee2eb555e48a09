import type { KeyObject } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import {
  type AttemptEnd,
  type AttemptEvent,
  type AttemptPhase,
  attemptSpecOf,
  checkProof,
  checkReceipt,
  isTerminal,
  ManyhandsError,
  publicKeyOf,
  ReceiptBatches,
  type ReceiptSubject,
  type SignedReceipt,
  toManyhandsError,
} from '@manyhands/core'
import type { JobKeys } from './job-keys.ts'
import type { JobRun } from './job-run.ts'
import type { LiveAttempt, Task } from './task.ts'

/** What was found of an end. */
interface Checked {
  receipt?: SignedReceipt
  /** Of one that came with a proof. */
  leaf?: string
  error?: ManyhandsError
}

/** Hosts whose keys are at hand. */
const KEYS = 1024

/**
 * Looks at the receipts of ends before anybody judges them. What a host did not sign for as it says is
 * nothing that it did: the attempt has failed, by the host's fault.
 */
export class AttemptReceipts {
  readonly #keyring: Pick<JobKeys, 'nonce' | 'clientOf'>
  /** Keys of hosts, made once. */
  readonly #keys = new Map<string, KeyObject | undefined>()
  /**
   * What was found of an attempt's end. A host repeats it until it is acknowledged, and one that means
   * harm would have us look at signatures all day: the first word counts.
   */
  readonly #checked = new WeakMap<LiveAttempt, Checked>()
  readonly #batches = new ReceiptBatches()

  constructor(keyring: Pick<JobKeys, 'nonce' | 'clientOf'>) {
    this.#keyring = keyring
  }

  /** The event as it counts: unchanged, or with an end that says what is wrong with its receipt. */
  checked(host: string, job: JobRun | undefined, event: AttemptEvent): AttemptEvent {
    const { end, phase } = event
    if (end === undefined || !isTerminal(phase) || job === undefined) return event
    const task = job.sent(event.attempt.slice(0, event.attempt.lastIndexOf('.')))
    const attempt = task?.attempts.get(event.attempt)
    // What nobody waits for is not looked at.
    if (task === undefined || attempt === undefined) return event
    if (attempt.host !== host || attempt.canceled) return event
    const found = this.#look(job, task, attempt, event)
    if (found instanceof ManyhandsError) {
      const none = { outputs: undefined, receipt: undefined, proof: undefined }
      return { ...event, phase: 'failed', end: { ...end, ...none, error: found.toJSON() } }
    }
    if (end.proof === undefined) return event
    return { ...event, end: { ...end, proof: undefined, receipt: found } }
  }

  /** The receipt, or why there is none that counts. */
  #look(
    job: JobRun,
    task: Task,
    attempt: LiveAttempt,
    event: AttemptEvent,
  ): SignedReceipt | ManyhandsError {
    const before = this.#checked.get(attempt)
    if (before?.error !== undefined) return before.error
    const { host, id } = attempt
    const end = event.end!
    const subject = {
      client: this.#keyring.clientOf(job.id, attempt.epoch),
      host,
      job: job.id,
      task: task.key,
      attempt: id,
      nonce: this.#keyring.nonce(job.id, host, id),
      spec: attemptSpecOf(job.document.base, {
        ...task.overrides,
        ...(attempt.inputs === undefined ? {} : { inputs: attempt.inputs }),
        ...(attempt.restore === undefined ? {} : { restore: attempt.restore }),
      }),
    }
    try {
      const { receipt, leaf } = this.#receipt(subject, event.phase, end, before)
      const other = leaf === undefined ? !isSame(before?.receipt, receipt) : before?.leaf !== leaf
      if (before !== undefined && other) {
        const what = `host ${host} has signed for two ends of attempt ${id}`
        throw new ManyhandsError('RECEIPT_INVALID', what)
      }
      this.#checked.set(attempt, { receipt, leaf })
      return receipt
    } catch (cause) {
      const error = toManyhandsError(cause, 'RECEIPT_INVALID')
      this.#checked.set(attempt, { error })
      return error
    }
  }

  #receipt(
    subject: ReceiptSubject,
    phase: AttemptPhase,
    end: AttemptEnd,
    before: Checked | undefined,
  ): { receipt: SignedReceipt; leaf?: string } {
    const { receipt, proof } = end
    const key = this.#keyOf(subject.host)
    if (proof !== undefined) {
      return checkProof(subject, phase, { ...end, proof }, { batches: this.#batches, key })
    }
    const verified = before !== undefined && isSame(before.receipt, receipt)
    checkReceipt(subject, phase, end, { verified, key })
    return { receipt: receipt! }
  }

  #keyOf(host: string): KeyObject | undefined {
    if (!this.#keys.has(host)) {
      if (this.#keys.size >= KEYS) this.#keys.clear()
      this.#keys.set(host, publicKeyOf(host))
    }
    return this.#keys.get(host)
  }
}

const isSame = (a: SignedReceipt | undefined, b: SignedReceipt | undefined) =>
  isDeepStrictEqual(a, b)
