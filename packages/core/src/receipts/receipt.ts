import { z } from 'zod'
import { LIMITS } from '../limits.ts'
import type { AttemptPhase } from '../phases.ts'
import type { Usage } from '../usage.ts'
import { attemptIdSchema, digestSchema, jobIdSchema, nonceSchema } from '../wire/identifiers.ts'
import { usageSchema } from '../wire/usage-document.ts'

/** What bounded an attempt: it reached its memory, its time or its disk. */
export type LimitHit = 'memory' | 'time' | 'disk'

/** How an attempt may end. */
export type EndedPhase = Extract<
  AttemptPhase,
  'completed' | 'failed' | 'canceled' | 'lost' | 'evicted'
>

/**
 * What a host says of one attempt that it ran, for one client. It proves who claimed what, not that the
 * work was done. Plain JSON; digests are `sha256:…`.
 */
export interface Receipt {
  v: 1
  /** Peer ids of both sides. */
  client: string
  host: string
  job: string
  task: string
  /** `fingerprint.epoch`, and the epoch again as a number. */
  attempt: string
  epoch: number
  /** What the client gave with the offer: an older receipt has another one. Hexadecimal. */
  nonce: string
  /** As `specDigest`: what was to be run, but for its inputs. */
  spec: string
  /**
   * What was really run: the engine's id of the image, or the root of the image file. Absent when it never
   * came to that.
   */
  image?: string
  /** As `inputsDigest`: what it was run on. */
  inputs: string
  /** Root of the checkpoint that it began with; absent when it began with nothing. */
  checkpoint?: string
  /** Root of the outputs; absent when there are none. */
  outputs?: string
  phase: EndedPhase
  exitCode?: number
  signal?: string
  /** Which limits it reached, in the order of {@link LimitHit}. */
  limits: LimitHit[]
  /** Code of the error that it ended with. */
  error?: string
  /** SHA-256 of the last bytes that it wrote, as they are in the result. */
  stdout: string
  stderr: string
  durationMs: number
  usage: Usage
}

/** A receipt with the host's Ed25519 signature, hexadecimal; plain JSON, so that it can be kept anywhere. */
export interface SignedReceipt extends Receipt {
  /** Over this receipt, or over the batch that it is in. */
  signature: string
  batch?: ReceiptBatch
}

/** Where a receipt is in a batch that was signed as a whole. */
export interface ReceiptBatch {
  /** Its place, from 0, of so many. */
  at: number
  size: number
  /** The hashes beside its way to the root of the batch's tree, from the receipt on; 64 hexadecimal digits each. */
  path: string
}

/**
 * What a host sends for a receipt of a batch. All else that the receipt says is what the client knows: the
 * offer and the end.
 */
export interface ReceiptProof {
  /** As {@link Receipt.image}. */
  image?: string
  at: number
  size: number
  path: Uint8Array
  /** Over the root of the batch's tree, 64 bytes. */
  signature: Uint8Array
}

const place = z.number().int().nonnegative().max(LIMITS.receiptsPerBatch)
/** Bytes of the longest way in a batch. */
export const PROOF_PATH_BYTES = 32 * Math.ceil(Math.log2(LIMITS.receiptsPerBatch))

export const receiptProofSchema: z.ZodType<ReceiptProof> = z.object({
  image: digestSchema.optional(),
  at: place,
  size: place,
  path: z.instanceof(Uint8Array).refine((value) => value.length <= PROOF_PATH_BYTES),
  signature: z.instanceof(Uint8Array).refine((value) => value.length === 64),
})

/** Nothing else is in it: a field that was not signed says nothing. */
export const signedReceiptSchema: z.ZodType<SignedReceipt> = z.strictObject({
  v: z.literal(1),
  client: z.string().max(128),
  host: z.string().max(128),
  job: jobIdSchema,
  task: z.string().max(256),
  attempt: attemptIdSchema,
  epoch: z.number().int().positive(),
  nonce: nonceSchema,
  spec: digestSchema,
  image: digestSchema.optional(),
  inputs: digestSchema,
  checkpoint: digestSchema.optional(),
  outputs: digestSchema.optional(),
  phase: z.enum(['completed', 'failed', 'canceled', 'lost', 'evicted']),
  exitCode: z.number().int().optional(),
  signal: z.string().max(32).optional(),
  limits: z.array(z.enum(['memory', 'time', 'disk'])).max(3),
  error: z.string().max(64).optional(),
  stdout: digestSchema,
  stderr: digestSchema,
  durationMs: z.number().nonnegative(),
  usage: usageSchema,
  batch: z
    .strictObject({
      at: place,
      size: place,
      path: z
        .string()
        .regex(/^([0-9a-f]{64})*$/)
        .max(2 * PROOF_PATH_BYTES),
    })
    .optional(),
  signature: z.string().regex(/^[0-9a-f]{128}$/),
})
