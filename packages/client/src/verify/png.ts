import { promisify } from 'node:util'
import { inflate } from 'node:zlib'
import { LIMITS } from '@manyhands/core'
import { Unreadable } from './unreadable.ts'

const SIGNATURE = Buffer.from('89504e470d0a1a0a', 'hex')
const MAX_CHUNKS = 65_536
/** One row is kept as numbers: all pixels in one row would be more than all of them in many. */
const MAX_WIDTH = 65_536
/** Samples of a pixel by colour type. */
const SAMPLES: Record<number, number> = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 }
const DEPTHS: Record<number, number[]> = {
  0: [1, 2, 4, 8, 16],
  2: [8, 16],
  3: [1, 2, 4, 8],
  4: [8, 16],
  6: [8, 16],
}

/** A PNG's head, and its content as it is packed. */
export interface PackedPng {
  width: number
  height: number
  depth: number
  colour: number
  samples: number
  /** RGB triples, for colour type 3. */
  palette: Uint8Array | undefined
  /** Transparency: alphas of the palette, or the one value that is transparent. */
  transparency: Uint8Array | undefined
  packed: Buffer
  /** Bytes of a row, without its filter byte. */
  rowBytes: number
}

/**
 * Reads a PNG's head and finds its content, without unpacking anything.
 *
 * @throws Unreadable also where it is interlaced, which no renderer does
 */
export function openPng(file: Uint8Array): PackedPng {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.byteLength)
  if (!bytes.subarray(0, 8).equals(SIGNATURE)) throw new Unreadable('it is not a PNG')
  let head: Buffer | undefined
  let palette: Uint8Array | undefined
  let transparency: Uint8Array | undefined
  const parts: Buffer[] = []
  let at = 8
  for (let chunks = 0; ; chunks += 1) {
    if (chunks > MAX_CHUNKS || at + 12 > bytes.length) throw new Unreadable('it is cut')
    const length = bytes.readUInt32BE(at)
    const kind = bytes.toString('latin1', at + 4, at + 8)
    const body = bytes.subarray(at + 8, at + 8 + length)
    if (at + 12 + length > bytes.length) throw new Unreadable('it is cut')
    if (kind === 'IEND') break
    if (kind === 'IHDR') head = body
    else if (kind === 'PLTE') palette = body
    else if (kind === 'tRNS') transparency = body
    else if (kind === 'IDAT') parts.push(body)
    at += 12 + length
  }
  if (head?.length !== 13) throw new Unreadable('it has no head')
  const width = head.readUInt32BE(0)
  const height = head.readUInt32BE(4)
  const [depth, colour, , , interlace] = head.subarray(8) as unknown as number[]
  if (!DEPTHS[colour!]?.includes(depth!)) throw new Unreadable('it has no known kind of pixels')
  if (interlace !== 0) throw new Unreadable('it is interlaced')
  if (colour === 3 && palette === undefined) throw new Unreadable('it has no palette')
  const samples = SAMPLES[colour!]!
  const rowBytes = Math.ceil((width * samples * depth!) / 8)
  // Before anything is unpacked: some bytes may stand for any number of pixels.
  if (width === 0 || height === 0 || width > MAX_WIDTH || width * height > LIMITS.comparedPixels) {
    throw new Unreadable(`${width} × ${height} pixels are none, or too many`)
  }
  if ((rowBytes + 1) * height > LIMITS.comparedPixelBytes) {
    throw new Unreadable('its pixels take too much memory')
  }
  const packed = Buffer.concat(parts)
  return {
    width,
    height,
    depth: depth!,
    colour: colour!,
    samples,
    palette,
    transparency,
    packed,
    rowBytes,
  }
}

const inflated = promisify(inflate) as (
  bytes: Buffer,
  options: { maxOutputLength: number },
) => Promise<Buffer>

/** The rows as they are filtered, each behind its filter byte: never more than the head says. */
export async function unpackPng({ packed, rowBytes, height }: PackedPng): Promise<Buffer> {
  const length = (rowBytes + 1) * height
  let rows: Buffer
  try {
    rows = await inflated(packed, { maxOutputLength: length })
  } catch (cause) {
    const tooMany = (cause as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE'
    throw new Unreadable(tooMany ? 'it holds more than it says' : 'it cannot be unpacked')
  }
  if (rows.length !== length) throw new Unreadable('pixels are missing')
  return rows
}
