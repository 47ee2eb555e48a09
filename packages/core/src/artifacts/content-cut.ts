import { endianness } from 'node:os'
import { LIMITS } from '../limits.ts'
import { sha256Now } from './sha256.ts'

/** Bytes that a boundary depends on: a 32-bit hash forgets a byte after as many shifts. */
const WINDOW = 32
/**
 * One position in 2^15 is a boundary. With the least length this gives chunks of 96 KiB on average:
 * small enough that 1 % of a file changed in a hundred places sends less than 3 % of it.
 */
const BOUNDARY_BITS = 15
const BOUNDARY = -1 << (32 - BOUNDARY_BITS)
/**
 * Files beyond this are cut evenly into the longest chunks, or their manifests would be too large. A
 * change in place sends no more for it; an insertion sends what comes after it.
 */
const EVEN_BEYOND_BYTES = 64 * 1024 ** 3

const LITTLE_ENDIAN = endianness() === 'LE'

/** A random number for each byte: the first four bytes of its sha256, big-endian. */
const GEAR = Int32Array.from({ length: 256 }, (_, byte) =>
  Buffer.from(sha256Now(Uint8Array.of(byte))).readInt32BE(),
)

/** Whether a file is one chunk whatever is in it. */
export function isOneChunk(size: number): boolean {
  return size <= LIMITS.chunkMinBytes
}

/**
 * Finds where the chunk that begins at `start` ends: after the first position, from the least length
 * on, where the hash of the last 32 bytes says so; else at the greatest length. As only content
 * decides, equal stretches of two files have equal chunks wherever they lie.
 *
 * @param bytes - holds the chunk from `start` on
 * @param rest - bytes of the file from `start` on
 * @returns the index after the chunk; 0 when it goes on behind `bytes`
 */
export function findCut(bytes: Uint8Array, start: number, rest: number, fileSize: number): number {
  const longest = Math.min(rest, LIMITS.chunkMaxBytes)
  const end = Math.min(start + longest, bytes.length)
  const atEnd = start + longest <= bytes.length ? end : 0
  if (rest <= LIMITS.chunkMinBytes || fileSize > EVEN_BEYOND_BYTES) return atEnd
  const first = start + LIMITS.chunkMinBytes - 1
  let hash = 0
  for (let at = first - WINDOW + 1; at < first && at < end; at++) {
    hash = ((hash << 1) + GEAR[bytes[at]!]!) | 0
  }
  return scan(bytes, first, end, hash) || atEnd
}

/** @returns the index after the first boundary in [from, end); 0 when there is none */
function scan(bytes: Uint8Array, from: number, end: number, before: number): number {
  let hash = before
  let at = from
  // Four bytes read as one: this loop is what cutting costs, and reading is half of it.
  const offset = bytes.byteOffset
  const words = new Int32Array(bytes.buffer, 0, bytes.buffer.byteLength >> 2)
  const aligned = LITTLE_ENDIAN ? Math.min(end, at + (-(offset + at) & 3)) : end
  for (; at < aligned; at++) {
    hash = ((hash << 1) + GEAR[bytes[at]!]!) | 0
    if ((hash & BOUNDARY) === 0) return at + 1
  }
  if (at === end) return 0
  let word = (offset + at) >> 2
  for (const last = (offset + end) >> 2; word < last; word++) {
    const four = words[word]!
    hash = ((hash << 1) + GEAR[four & 255]!) | 0
    if ((hash & BOUNDARY) === 0) return word * 4 - offset + 1
    hash = ((hash << 1) + GEAR[(four >>> 8) & 255]!) | 0
    if ((hash & BOUNDARY) === 0) return word * 4 - offset + 2
    hash = ((hash << 1) + GEAR[(four >>> 16) & 255]!) | 0
    if ((hash & BOUNDARY) === 0) return word * 4 - offset + 3
    hash = ((hash << 1) + GEAR[four >>> 24]!) | 0
    if ((hash & BOUNDARY) === 0) return word * 4 - offset + 4
  }
  for (at = word * 4 - offset; at < end; at++) {
    hash = ((hash << 1) + GEAR[bytes[at]!]!) | 0
    if ((hash & BOUNDARY) === 0) return at + 1
  }
  return 0
}
