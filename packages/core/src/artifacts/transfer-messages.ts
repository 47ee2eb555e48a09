import { z } from 'zod'
import { type ErrorDocument, ManyhandsError } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import { errorDocumentSchema } from '../wire/attempt-event.ts'
import { digestSchema } from '../wire/attempt-spec.ts'
import { decodeDocument, encodeDocument } from '../wire/codec.ts'
import { TRANSFER } from './transfer-limits.ts'

/**
 * Frames of the artifact protocol: one byte of kind, then DAG-CBOR (open, want, found, failed) or
 * plain bytes (manifest, data). The receiver opens and wants; the sender answers `found` with the
 * manifest's length, the manifest in pieces, then the bytes of every wanted range in the order in
 * which they were wanted, as one sequence: frames end anywhere, small files share one.
 */
export const FRAME = {
  open: 1,
  want: 2,
  found: 17,
  manifest: 18,
  data: 19,
  failed: 20,
} as const

export type FrameKind = (typeof FRAME)[keyof typeof FRAME]

/** Chunks of one file: index in the manifest, first chunk, number of chunks. */
export type WantedRange = [file: number, first: number, count: number]

export interface OpenRequest {
  v: 1
  root: string
  /** The receiver has the manifest, from another stream: wants are answered at once. */
  bare?: boolean
}

const index = z.number().int().nonnegative()
const openSchema: z.ZodType<OpenRequest> = z.strictObject({
  v: z.literal(1),
  root: digestSchema,
  bare: z.boolean().optional(),
})
const wantSchema: z.ZodType<WantedRange[]> = z
  .array(z.tuple([index, index, z.number().int().positive()]))
  .min(1)
  .max(TRANSFER.rangesPerWant)
const foundSchema = z.strictObject({ bytes: z.number().int().positive() })

export function openFrame(root: string, bare?: true): Uint8Array {
  return documentFrame(FRAME.open, { v: 1, root, bare } satisfies OpenRequest)
}

export function readOpen(frame: Uint8Array): OpenRequest {
  return decodeDocument(openSchema, body(frame, FRAME.open), 'artifact request')
}

export function wantFrame(ranges: WantedRange[]): Uint8Array {
  return documentFrame(FRAME.want, ranges)
}

export function readWant(frame: Uint8Array): WantedRange[] {
  return decodeDocument(wantSchema, body(frame, FRAME.want), 'wanted ranges')
}

export function foundFrame(bytes: number): Uint8Array {
  return documentFrame(FRAME.found, { bytes })
}

/** Length of the manifest that follows. @throws LIMIT before any of it is kept */
export function readFound(frame: Uint8Array): number {
  const { bytes } = decodeDocument(foundSchema, body(frame, FRAME.found), 'artifact answer')
  if (bytes > LIMITS.manifestBytes) {
    throw new ManyhandsError('LIMIT', `the peer announced a manifest of ${bytes} bytes`)
  }
  return bytes
}

export function failedFrame(error: ErrorDocument): Uint8Array {
  return documentFrame(FRAME.failed, { ...error, message: error.message.slice(0, 4096) })
}

/** A frame of plain bytes, to be filled from its second byte on. */
export function bytesFrame(kind: FrameKind, length: number): Uint8Array {
  const frame = Buffer.allocUnsafeSlow(1 + length)
  frame[0] = kind
  return frame
}

/** The bytes of a frame of the expected kind. @throws what a `failed` frame carries; PROTOCOL */
export function body(frame: Uint8Array, kind: FrameKind): Uint8Array {
  if (frame[0] === kind) return frame.subarray(1)
  if (frame[0] === FRAME.failed) {
    throw ManyhandsError.fromJSON(
      decodeDocument(errorDocumentSchema, frame.subarray(1), 'artifact error'),
    )
  }
  throw new ManyhandsError(
    'PROTOCOL',
    `artifact transfer: a frame of kind ${frame[0]} came unasked`,
  )
}

function documentFrame(kind: FrameKind, document: unknown): Uint8Array {
  const bytes = encodeDocument(document)
  const frame = bytesFrame(kind, bytes.length)
  frame.set(bytes, 1)
  return frame
}
