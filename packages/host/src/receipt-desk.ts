import type { KeyObject } from 'node:crypto'
import {
  type AttemptEnd,
  type AttemptPhase,
  LIMITS,
  pinnedImage,
  type Receipt,
  type ReceiptProof,
  receiptKey,
  receiptOf,
  signReceipt,
  signReceipts,
} from '@manyhands/core'
import type { Attempt } from './attempt.ts'

/** Signs for what this host did. */
export class ReceiptDesk {
  readonly #host: string
  readonly #key: KeyObject
  #waiting: Waiting[] = []

  /** @param seed - the private key of this peer */
  constructor(host: string, seed: Uint8Array) {
    this.#host = host
    this.#key = receiptKey(seed)
  }

  /**
   * Signs an end as it is to be sealed, with others of the same moment; for a client that wants it.
   *
   * @throws PROTOCOL when the end itself has no form on the wire
   */
  async sign(attempt: Attempt, phase: AttemptPhase, end: AttemptEnd): Promise<void> {
    const { id, origin: client, job, task, spec, nonce } = attempt
    if (nonce === undefined) return
    const subject = { client, host: this.#host, job, task, attempt: id, nonce, spec }
    const receipt = receiptOf(subject, phase, end, ranImage(attempt))
    if (attempt.proofs) end.proof = await this.#proof(receipt)
    else end.receipt = signReceipt(receipt, this.#key)
  }

  #proof(receipt: Receipt): Promise<ReceiptProof> {
    const { promise, resolve, reject } = Promise.withResolvers<ReceiptProof>()
    this.#waiting.push({ receipt, resolve, reject })
    if (this.#waiting.length === LIMITS.receiptsPerBatch) this.#signAll()
    else if (this.#waiting.length === 1) setImmediate(() => this.#signAll())
    return promise
  }

  #signAll(): void {
    const batch = this.#waiting
    this.#waiting = []
    if (batch.length === 0) return
    try {
      const receipts = batch.map(({ receipt }) => receipt)
      const proofs = signReceipts(receipts, this.#key)
      for (const [at, { resolve }] of batch.entries()) resolve(proofs[at]!)
    } catch (cause) {
      this.#signOneByOne(batch, cause)
    }
  }

  /** One that has no form on the wire spoils nothing for the others. */
  #signOneByOne(batch: Waiting[], cause: unknown): void {
    for (const { receipt, resolve, reject } of batch) {
      try {
        if (batch.length === 1) throw cause
        resolve(signReceipts([receipt], this.#key)[0]!)
      } catch (error) {
        reject(error)
      }
    }
  }
}

interface Waiting {
  receipt: Receipt
  resolve(proof: ReceiptProof): void
  reject(error: unknown): void
}

/** What really ran: an image that is named by what it is was not started if it was another one. */
function ranImage({ spec, runtimeTask }: Attempt): string | undefined {
  if (runtimeTask === undefined) return undefined
  const said = runtimeTask.image
  return pinnedImage(spec) ?? (/^sha256:[0-9a-f]{64}$/.test(said ?? '') ? said : undefined)
}
