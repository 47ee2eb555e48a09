import { z } from 'zod'
import { TRANSFER } from '../artifacts/transfer-limits.ts'
import { type ErrorDocument, ManyhandsError } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import { errorDocumentSchema } from '../wire/attempt-event.ts'
import { decodeDocument, encodeDocument } from '../wire/codec.ts'
import { digestSchema } from '../wire/identifiers.ts'
import { bytesFrame, FRAME, type FrameKind, plainBody } from './transfer-frames.ts'

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

/** The bytes of a frame of the expected kind. @throws what a `failed` frame carries; PROTOCOL */
export function body(frame: Uint8Array, kind: FrameKind): Uint8Array {
  if (frame[0] === FRAME.failed) throw readFailed(frame)
  return plainBody(frame, kind)
}

/** What a peer may say of why it gives nothing; anything else would be about us, or about the caller. */
const REASONS: ReadonlySet<string> = new Set([
  'ARTIFACT_MISSING',
  'INPUT_CHANGED',
  'LIMIT',
  'PROTOCOL',
  'TRANSFER_QUOTA',
])

export function readFailed(frame: Uint8Array): ManyhandsError {
  const bytes = plainBody(frame, FRAME.failed)
  const { code, message } = decodeDocument(errorDocumentSchema, bytes, 'artifact error')
  if (REASONS.has(code)) return new ManyhandsError(code, message)
  return new ManyhandsError('PEER_GONE', `the peer could not go on (${code}: ${message})`)
}

function documentFrame(kind: FrameKind, document: unknown): Uint8Array {
  const bytes = encodeDocument(document)
  const frame = bytesFrame(kind, bytes.length)
  frame.set(bytes, 1)
  return frame
}
