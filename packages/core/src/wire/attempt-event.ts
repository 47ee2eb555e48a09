import { z } from 'zod'
import { unsafePathReason } from '../artifacts/safe-path.ts'
import type { ErrorDocument } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import type { AttemptPhase } from '../phases.ts'
import {
  type ReceiptProof,
  receiptProofSchema,
  type SignedReceipt,
  signedReceiptSchema,
} from '../receipts/receipt.ts'
import { type TransferProgress, transferProgressSchema } from '../transfer-progress.ts'
import type { Usage } from '../usage.ts'
import { type AnnouncedCheckpoint, announcedCheckpointSchema } from './checkpoint.ts'
import { digestSchema } from './identifiers.ts'
import { usageSchema } from './usage-document.ts'

/**
 * What a host tells about an attempt on the job's event stream. Every event has the attempt and a
 * sequence number of the attempt; a repeat is recognised and dropped. Events with `end` are kept by
 * the host until the client acknowledges them; the others may be lost when a reader is late.
 */
export interface AttemptEvent {
  attempt: string
  seq: number
  phase: AttemptPhase
  /** Why it stands still, while it is paused. */
  reason?: string
  usage?: Usage
  stdout?: Uint8Array
  stderr?: Uint8Array
  /**
   * How many bytes the attempt had written to the stream before those of this event. Whoever got fewer
   * has lost the difference: the host drops output that waits too long. In the event of the end also
   * where nothing is left to be told.
   */
  stdoutAt?: number
  stderrAt?: number
  /**
   * Files that the task has completed while it runs, each a single-file artifact. A path that is named
   * again has new contents. They may be named repeatedly, and what the end names is what counts.
   */
  outputs?: StreamedOutput[]
  /**
   * The newest checkpoint of it that is here and that its client has not taken; told again until it has.
   */
  checkpoint?: AnnouncedCheckpoint
  /** Bytes that came for it so far. Of several attempts that share a transfer, one counts them. */
  bytesIn?: number
  /** While it is staged: what it waits for, which other attempts may wait for too. */
  transfer?: TransferProgress
  end?: AttemptEnd
}

/** One file that is there before its attempt has ended. */
export interface StreamedOutput {
  /** Relative to /out. */
  path: string
  root: string
  bytes: number
  executable: boolean
}

/** How an attempt ended: sealed in the host's journal before it is announced. */
export interface AttemptEnd {
  exitCode?: number
  signal?: string
  oom: boolean
  timedOut: boolean
  durationMs: number
  usage: Usage
  stdoutTail: Uint8Array
  stderrTail: Uint8Array
  /** Digest and size of the encoded manifest of the outputs; absent when there are none to fetch. */
  outputs?: { root: string; bytes: number }
  /** What it left for the next one, where it has no result and its client has not taken it yet. */
  checkpoint?: AnnouncedCheckpoint
  error?: ErrorDocument
  /** Who ended it, when it did not end by itself. */
  by?: 'host' | 'client'
  reason?: string
  /** The host's signed word for all this; absent only where the offer came without a nonce. */
  receipt?: SignedReceipt
  /** In the place of a receipt, for a client that reads proofs. */
  proof?: ReceiptProof
}

const bytes = z.instanceof(Uint8Array)
const n = z.number().nonnegative()

export const errorDocumentSchema = z.object({
  code: z.string().max(64),
  message: z.string().max(16_384),
  hint: z.string().max(4096),
  blame: z.enum(['caller', 'host', 'network', 'task', 'internal']),
  details: z.record(z.string(), z.unknown()).optional(),
}) as unknown as z.ZodType<ErrorDocument>

export const streamedOutputSchema: z.ZodType<StreamedOutput> = z.object({
  path: z
    .string()
    .max(LIMITS.pathBytes)
    .refine((path) => unsafePathReason(path) === undefined, 'a path that cannot travel'),
  root: digestSchema,
  bytes: n,
  executable: z.boolean(),
})

const phase = z.enum([
  'offered',
  'staging',
  'running',
  'paused',
  'collecting',
  'completed',
  'failed',
  'canceled',
  'lost',
  'evicted',
])

export const attemptEndSchema: z.ZodType<AttemptEnd> = z.object({
  exitCode: z.number().int().optional(),
  signal: z.string().max(32).optional(),
  oom: z.boolean(),
  timedOut: z.boolean(),
  durationMs: n,
  usage: usageSchema,
  stdoutTail: bytes.refine((value) => value.length <= LIMITS.outputTailBytes),
  stderrTail: bytes.refine((value) => value.length <= LIMITS.outputTailBytes),
  outputs: z.object({ root: digestSchema, bytes: n }).optional(),
  checkpoint: announcedCheckpointSchema.optional(),
  error: errorDocumentSchema.optional(),
  by: z.enum(['host', 'client']).optional(),
  reason: z.string().max(1024).optional(),
  // One that is none is as good as none: the end is refused for it, and not everything that came with it.
  receipt: signedReceiptSchema.optional().catch(undefined),
  proof: receiptProofSchema.optional().catch(undefined),
})

export const attemptEventSchema: z.ZodType<AttemptEvent> = z.object({
  attempt: z.string().max(128),
  seq: z.number().int().nonnegative(),
  phase,
  reason: z.string().max(1024).optional(),
  usage: usageSchema.optional(),
  stdout: bytes.optional(),
  stderr: bytes.optional(),
  stdoutAt: n.optional(),
  stderrAt: n.optional(),
  outputs: z.array(streamedOutputSchema).max(LIMITS.outputsPerEvent).optional(),
  checkpoint: announcedCheckpointSchema.optional(),
  bytesIn: n.optional(),
  transfer: transferProgressSchema.optional(),
  end: attemptEndSchema.optional(),
})

export const attemptPhaseSchema: z.ZodType<AttemptPhase> = phase
