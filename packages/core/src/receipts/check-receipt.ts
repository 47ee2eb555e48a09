import type { KeyObject } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import { ManyhandsError } from '../errors.ts'
import { publicKeyOf } from '../network/identity.ts'
import type { AttemptPhase } from '../phases.ts'
import type { Usage } from '../usage.ts'
import type { AttemptEnd } from '../wire/attempt-event.ts'
import type { AttemptSpec } from '../wire/attempt-spec.ts'
import type { EndedPhase, LimitHit, Receipt, ReceiptProof, SignedReceipt } from './receipt.ts'
import { provenReceipt, type ReceiptBatches, receiptLeaf } from './receipt-batch.ts'
import { bytesDigest, inputsDigest, specDigest } from './receipt-digests.ts'
import { verifySignature } from './sign-receipt.ts'

/** What both sides know of an attempt before it has ended. */
export interface ReceiptSubject {
  client: string
  host: string
  job: string
  task: string
  attempt: string
  nonce: string
  /** The job's, with what this attempt says differently. */
  spec: AttemptSpec
}

/**
 * What a receipt of an end has to say.
 *
 * @param image - what was really run, `sha256:…`; undefined when it never came to that
 */
export function receiptOf(
  subject: ReceiptSubject,
  phase: AttemptPhase,
  end: AttemptEnd,
  image: string | undefined,
): Receipt {
  const { client, host, job, task, attempt, nonce, spec } = subject
  // In the order in which they are encoded, which is quicker than to bring them into it.
  return {
    v: 1,
    job,
    host,
    spec: specDigest(spec),
    task,
    epoch: Number(attempt.slice(attempt.lastIndexOf('.') + 1)),
    error: end.error?.code,
    image,
    nonce,
    phase: phase as EndedPhase,
    usage: claimed(end.usage),
    client,
    inputs: inputsDigest(spec.inputs),
    limits: limitsHit(end),
    signal: end.signal,
    stderr: bytesDigest(end.stderrTail),
    stdout: bytesDigest(end.stdoutTail),
    attempt,
    outputs: end.outputs?.root,
    exitCode: end.exitCode,
    checkpoint: spec.restore?.root,
    durationMs: end.durationMs,
  }
}

/** The image that a spec names by what it is; undefined when it names it by what it is called. */
export function pinnedImage({ image }: AttemptSpec): string | undefined {
  return /^(?:artifact:)?(sha256:[0-9a-f]{64})$/.exec(image)?.[1]
}

/**
 * Checks the proof of an end: that its host has signed the receipt which follows from what was asked for and
 * from what the end itself says. Nothing of that travels, so nothing in it can be another's.
 *
 * @returns the receipt, and its leaf in the batch: another one is that of another end
 * @throws RECEIPT_INVALID
 */
export function checkProof(
  subject: ReceiptSubject,
  phase: AttemptPhase,
  end: AttemptEnd & { proof: ReceiptProof },
  by: { batches: ReceiptBatches; key: KeyObject | undefined },
): { receipt: SignedReceipt; leaf: string } {
  const { proof } = end
  checkImage(subject, phase, proof.image)
  const receipt = receiptOf(subject, phase, end, proof.image)
  const leaf = receiptLeaf(receipt)
  if (by.key === undefined) throw refused(subject, 'its host has no key')
  if (!by.batches.holds(leaf, proof, by.key)) {
    throw refused(subject, 'its host has not signed that for this attempt and this end')
  }
  return { receipt: provenReceipt(receipt, proof), leaf: Buffer.from(leaf).toString('hex') }
}

export interface CheckReceiptOptions {
  /** The signature of this very receipt was looked at before. */
  verified?: boolean
  /** Of the host, when it is at hand: to make it from a peer id takes as long as half a signature. */
  key?: KeyObject | undefined
}

/**
 * Checks the receipt of an end against what was asked for and what the end itself says. The signature is
 * looked at last, so that garbage costs its receiver no more than comparing.
 *
 * @param end - of the shape that it has to have, as it is after decoding
 * @throws RECEIPT_INVALID naming the field
 */
export function checkReceipt(
  subject: ReceiptSubject,
  phase: AttemptPhase,
  end: AttemptEnd,
  options: CheckReceiptOptions = {},
): void {
  const { receipt } = end
  if (receipt === undefined) throw refused(subject, 'there is none')
  const { image, signature, batch, ...said } = receipt
  const expected = receiptOf(subject, phase, end, undefined)
  for (const field of fieldsOf(said, expected)) {
    const key = field as keyof typeof said
    if (!isDeepStrictEqual(said[key], expected[key])) {
      throw refused(subject, `its ${field} is not that of the attempt`, field)
    }
  }
  checkImage(subject, phase, image)
  if (options.verified) return
  const key = options.key ?? publicKeyOf(subject.host)
  if (key === undefined) throw refused(subject, 'its host has no key')
  verifySignature(receipt, key)
}

/** A success is one of an image, and where the spec names that by what it is, of this one. */
function checkImage(subject: ReceiptSubject, phase: AttemptPhase, image: string | undefined): void {
  const pinned = pinnedImage(subject.spec)
  if (image === undefined ? phase === 'completed' : pinned !== undefined && image !== pinned) {
    throw refused(subject, 'its image is not that of the attempt', 'image')
  }
}

function fieldsOf(said: object, expected: object): Set<string> {
  const fields = new Set([...Object.keys(expected), ...Object.keys(said)])
  fields.delete('image')
  return fields
}

function limitsHit(end: AttemptEnd): LimitHit[] {
  const hit: LimitHit[] = []
  if (end.oom) hit.push('memory')
  if (end.timedOut) hit.push('time')
  if (end.error?.code === 'TASK_DISK') hit.push('disk')
  return hit
}

/** The fields are fixed: one that a later version measures too is no part of this receipt. */
function claimed(usage: Usage): Usage {
  const { elapsedMs, cpu, cpuMs, memory, memoryPeak, pids, disk, netIn, netOut, gpu } = usage
  const always = { cpu, disk, pids, cpuMs, netIn, memory, netOut, elapsedMs, memoryPeak }
  return gpu === undefined ? always : { ...always, gpu }
}

function refused({ host, attempt }: ReceiptSubject, why: string, field?: string): ManyhandsError {
  return new ManyhandsError(
    'RECEIPT_INVALID',
    `the receipt of host ${host} for attempt ${attempt} does not count: ${why}`,
    { details: { host, attempt, ...(field === undefined ? {} : { field }) } },
  )
}
