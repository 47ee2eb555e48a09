import { TRANSFER } from '../artifacts/transfer-limits.ts'
import { ManyhandsError } from '../errors.ts'
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

/** A frame of plain bytes, to be filled from its second byte on. */
export function bytesFrame(kind: FrameKind, length: number): Uint8Array {
  const frame = Buffer.allocUnsafeSlow(1 + length)
  frame[0] = kind
  return frame
}

/** Bytes of one wanted range: file (uint32), position (uint64), length (uint32), big-endian. */
const RANGE_BYTES = 16

export function wantFrame(ranges: WantedRange[]): Uint8Array {
  const frame = bytesFrame(FRAME.want, ranges.length * RANGE_BYTES)
  const view = new DataView(frame.buffer, frame.byteOffset + 1)
  for (const [index, [file, position, length]] of ranges.entries()) {
    view.setUint32(index * RANGE_BYTES, file)
    view.setBigUint64(index * RANGE_BYTES + 4, BigInt(position))
    view.setUint32(index * RANGE_BYTES + 12, length)
  }
  return frame
}

/** @throws PROTOCOL */
export function readWant(frame: Uint8Array): WantedRange[] {
  const bytes = plainBody(frame, FRAME.want)
  const count = bytes.length / RANGE_BYTES
  if (!Number.isInteger(count) || count < 1 || count > TRANSFER.rangesPerWant) {
    throw new ManyhandsError('PROTOCOL', 'wanted ranges of another length than ranges have')
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  return Array.from({ length: count }, (_, index) => {
    const position = Number(view.getBigUint64(index * RANGE_BYTES + 4))
    const length = view.getUint32(index * RANGE_BYTES + 12)
    if (length === 0 || !Number.isSafeInteger(position)) {
      throw new ManyhandsError('PROTOCOL', 'a range was wanted that no file has')
    }
    return [view.getUint32(index * RANGE_BYTES), position, length]
  })
}

/** The bytes of a frame of the expected kind. @throws PROTOCOL */
export function plainBody(frame: Uint8Array, kind: FrameKind): Uint8Array {
  if (frame[0] === kind) return frame.subarray(1)
  throw new ManyhandsError(
    'PROTOCOL',
    `artifact transfer: a frame of kind ${frame[0]} came unasked`,
  )
}
