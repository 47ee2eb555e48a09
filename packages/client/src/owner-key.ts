import { deflateRawSync, inflateRawSync } from 'node:zlib'
import {
  attemptSpecSchema,
  decodeDocument,
  encodeDocument,
  LIMITS,
  ManyhandsError,
  MOST_OWNERSHIPS,
  peerIdSchema,
} from '@manyhands/core'
import { z } from 'zod'
import type { JobDocument } from './job-document.ts'
import { COPIED_COLUMNS, type JobCopy } from './journal/job-copy.ts'
import type { JobRow } from './journal/job-rows.ts'
import type { Ownership } from './journal/ownership-rows.ts'
import { ITEMS_PER_BLOCK } from './split-items.ts'

const PREFIX = 'mhjob1.'
/** Bytes of what is packed in a text of the longest kind: tasks are much alike. */
const UNPACKED_BYTES = 4 * LIMITS.ownerKeyBytes
const HOSTS = 1000

/** What an owner key holds: the job as it was when the key was taken, and the right to continue it. */
export interface OwnerKey {
  v: 1
  job: Pick<JobRow, 'id' | 'name' | 'specHash' | 'phase' | 'submittedAt' | 'sourceDone' | 'spent'>
  /** JSON of the job's document. */
  document: string
  ownership: Pick<Ownership, 'seed' | 'nonceKey' | 'epoch' | 'owners'>
  /** Where attempts of it may be; without a peer: where this client has looked for hosts. */
  hosts: { peer?: string; addresses: string[] }[]
  rows: JobCopy
}

const rows = (columns: number) =>
  z.array(z.array(z.union([z.string(), z.number(), z.null()])).length(columns))
const hex = z.string().regex(/^[0-9a-f]{64}$/)

const ownerKeySchema: z.ZodType<OwnerKey> = z.object({
  v: z.literal(1),
  job: z.object({
    id: z.string().regex(/^[a-z0-9-]{1,64}$/),
    name: z.string().max(200),
    specHash: z.string().max(128),
    phase: z.enum(['queued', 'running', 'paused', 'completed', 'failed', 'canceled']),
    submittedAt: z.string().max(64),
    sourceDone: z.boolean(),
    spent: z.object({ bytesUp: z.number(), bytesDown: z.number(), durationMs: z.number() }),
  }),
  document: z.string().max(LIMITS.rpcFrameBytes),
  ownership: z.object({
    seed: hex,
    nonceKey: hex,
    epoch: z.number().int().nonnegative().max(MOST_OWNERSHIPS),
    owners: z
      .array(z.tuple([z.number().int().nonnegative(), peerIdSchema]))
      .max(MOST_OWNERSHIPS + 1),
  }),
  hosts: z
    .array(
      z.object({
        peer: peerIdSchema.optional(),
        addresses: z.array(z.string().max(LIMITS.addressBytes)).max(LIMITS.addressesPerPeer),
      }),
    )
    .max(HOSTS),
  rows: z.object({
    tasks: rows(COPIED_COLUMNS.tasks).max(LIMITS.tasksPerOwnerKey),
    needs: rows(COPIED_COLUMNS.needs).max(LIMITS.tasksPerOwnerKey * 4),
    inputs: rows(COPIED_COLUMNS.inputs).max(LIMITS.tasksPerOwnerKey),
    split_items: rows(COPIED_COLUMNS.split_items).max(LIMITS.itemsPerSplit / ITEMS_PER_BLOCK + 1),
  }),
})

/** @throws LIMIT when the job does not fit */
export function writeOwnerKey(key: OwnerKey): string {
  const document = encodeDocument({ ...key, hosts: key.hosts.slice(0, HOSTS) })
  const text = PREFIX + deflateRawSync(document).toString('base64url')
  if (document.length <= UNPACKED_BYTES && text.length <= LIMITS.ownerKeyBytes) return text
  throw new ManyhandsError(
    'LIMIT',
    `the owner key of job ${key.job.id} would have ${text.length} characters`,
    { hint: 'Take the key soon after submitting.' },
  )
}

/** @throws SPEC_INVALID for a text that is no owner key */
export function readOwnerKey(text: string): OwnerKey {
  const packed = text.trim()
  if (!packed.startsWith(PREFIX)) throw invalid(`it does not begin with ${PREFIX}`)
  if (packed.length > LIMITS.ownerKeyBytes) throw invalid('it is too long')
  try {
    const bytes = inflateRawSync(Buffer.from(packed.slice(PREFIX.length), 'base64url'), {
      maxOutputLength: UNPACKED_BYTES,
    })
    const key = decodeDocument(ownerKeySchema, bytes, 'owner key')
    attemptSpecSchema.parse((JSON.parse(key.document) as JobDocument).base)
    return key
  } catch (cause) {
    throw invalid('it is cut off, or was changed', cause)
  }
}

function invalid(why: string, cause?: unknown): ManyhandsError {
  return new ManyhandsError('SPEC_INVALID', `this is no owner key: ${why}`, {
    cause,
    hint: 'Take it as job.ownerKey() or run --owner-key gave it, whole.',
  })
}
