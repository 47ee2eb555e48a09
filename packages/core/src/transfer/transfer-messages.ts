import { z } from 'zod'
import { TRANSFER } from '../artifacts/transfer-limits.ts'
import { type ErrorDocument, ManyhandsError } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import { errorDocumentSchema } from '../wire/attempt-event.ts'
import { digestSchema } from '../wire/attempt-spec.ts'
import { decodeDocument, encodeDocument } from '../wire/codec.ts'
import type { WantedRange } from './lane-messages.ts'

/**
 * Frames of the artifact protocol: one byte of kind, then DAG-CBOR or plain bytes (manifest, data).
 * The receiver opens a stream and says what for: the manifest and news of it, or content. On the first
 * the sender answers `found`, the manifest in pieces, then `have` and `peers` as they change. On the
 * second the receiver wants byte ranges of files, and gets their bytes in the order in which they were
 * wanted, as one sequence: frames end anywhere, small files share one. A first stream becomes one for
 * content by the first want.
 */
export const FRAME = {
  open: 1,
  want: 2,
  found: 17,
  manifest: 18,
  data: 19,
  failed: 20,
  have: 21,
  peers: 22,
} as const

export type FrameKind = (typeof FRAME)[keyof typeof FRAME]

export interface OpenRequest {
  v: 2
  /**
   * `artifact`: the manifest and news of it; `news`: without the manifest, the receiver has it; `lane`:
   * content.
   */
  kind: 'artifact' | 'news' | 'lane'
  root: string
  /** Given by who owns the artifact to all that fetch it: they may fetch it from each other. */
  ticket?: string
  /** Where others that fetch the artifact can reach the receiver, if it gives what it has. */
  addresses?: string[]
}

/** Somebody else who fetches the artifact. */
export interface SwarmPeer {
  peer: string
  addresses: string[]
}

export interface Found {
  /** Bytes of the manifest that follow. */
  bytes: number
  /** Absent when everything is here; else the blocks are told by `have`. */
  partial?: boolean
  ticket?: string
}

/** Blocks that the sender has, from `first` on as bits, the lowest bit of a byte first. */
export interface Have {
  first: number
  bits: Uint8Array
}

const index = z.number().int().nonnegative()
const ticketSchema = z.string().regex(/^[0-9a-f]{32}$/)
const addresses = z.array(z.string().max(LIMITS.addressBytes)).max(LIMITS.addressesPerPeer)
const openSchema: z.ZodType<OpenRequest> = z.strictObject({
  v: z.literal(2),
  kind: z.enum(['artifact', 'news', 'lane']),
  root: digestSchema,
  ticket: ticketSchema.optional(),
  addresses: addresses.optional(),
})
const wantSchema: z.ZodType<WantedRange[]> = z
  .array(z.tuple([index, index, z.number().int().positive()]))
  .min(1)
  .max(TRANSFER.rangesPerWant)
const foundSchema: z.ZodType<Found> = z.object({
  bytes: index,
  partial: z.boolean().optional(),
  ticket: ticketSchema.optional(),
})
const haveSchema: z.ZodType<Have> = z.strictObject({
  first: index,
  bits: z.instanceof(Uint8Array).refine((bits) => bits.length <= LIMITS.streamFrameBytes),
})
const peersSchema: z.ZodType<SwarmPeer[]> = z
  .array(z.strictObject({ peer: z.string().max(128), addresses }))
  .max(TRANSFER.swarmPeers)

export function openFrame(request: OpenRequest): Uint8Array {
  return documentFrame(FRAME.open, request)
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

export function foundFrame(found: Found): Uint8Array {
  return documentFrame(FRAME.found, found)
}

/** @throws LIMIT before any of a manifest is kept that is too long */
export function readFound(frame: Uint8Array): Found {
  const found = decodeDocument(foundSchema, body(frame, FRAME.found), 'artifact answer')
  if (found.bytes > LIMITS.manifestBytes) {
    throw new ManyhandsError('LIMIT', `the peer announced a manifest of ${found.bytes} bytes`)
  }
  return found
}

export function haveFrame(have: Have): Uint8Array {
  return documentFrame(FRAME.have, have)
}

export function readHave(frame: Uint8Array): Have {
  return decodeDocument(haveSchema, body(frame, FRAME.have), 'blocks of a peer')
}

export function peersFrame(peers: SwarmPeer[]): Uint8Array {
  return documentFrame(FRAME.peers, peers)
}

export function readPeers(frame: Uint8Array): SwarmPeer[] {
  return decodeDocument(peersSchema, body(frame, FRAME.peers), 'peers of an artifact')
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
