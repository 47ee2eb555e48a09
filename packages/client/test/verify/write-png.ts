import { crc32, deflateSync } from 'node:zlib'

export interface PngToWrite {
  width: number
  height: number
  depth?: number
  colour?: number
  /** Rows, packed as they are in the file, without filter bytes. */
  rows: Uint8Array[]
  /** Filter of each row; default none. */
  filters?: number[]
  palette?: Uint8Array
  transparency?: Uint8Array
  interlace?: number
  /** What is written in the place of the pixels. */
  content?: Uint8Array
}

/** Writes PNGs with every filter, also such that no other program would write. */
export function writePng(png: PngToWrite): Uint8Array {
  const { width, height, depth = 8, colour = 2, rows, filters = [] } = png
  const head = Buffer.alloc(13)
  head.writeUInt32BE(width, 0)
  head.writeUInt32BE(height, 4)
  head.set([depth, colour, 0, 0, png.interlace ?? 0], 8)
  const samples = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 }[colour] ?? 1
  const stride = Math.max(1, (samples * depth) >> 3)
  const filtered = rows.map((row, y) => {
    const filter = filters[y] ?? 0
    const up = rows[y - 1] ?? new Uint8Array(row.length)
    const left = (at: number) => row[at - stride] ?? 0
    const corner = (at: number) => (at < stride ? 0 : up[at - stride]!)
    const guess = [
      () => 0,
      left,
      (at: number) => up[at]!,
      (at: number) => (left(at) + up[at]!) >> 1,
      (at: number) => nearest(left(at), up[at]!, corner(at)),
    ][filter]!
    return Buffer.from([filter, ...row.map((value, at) => value - guess(at))])
  })
  const content = png.content ?? deflateSync(Buffer.concat(filtered))
  const half = content.length >> 1
  return Buffer.concat([
    Buffer.from('89504e470d0a1a0a', 'hex'),
    chunk('IHDR', head),
    ...(png.palette === undefined ? [] : [chunk('PLTE', png.palette)]),
    ...(png.transparency === undefined ? [] : [chunk('tRNS', png.transparency)]),
    chunk('IDAT', content.subarray(0, half)),
    chunk('IDAT', content.subarray(half)),
    chunk('IEND', new Uint8Array()),
  ])
}

function nearest(left: number, above: number, corner: number): number {
  const guess = left + above - corner
  const candidates = [left, above, corner]
  const distances = candidates.map((value) => Math.abs(guess - value))
  return candidates[distances.indexOf(Math.min(...distances))]!
}

function chunk(kind: string, body: Uint8Array): Uint8Array {
  const bytes = Buffer.alloc(body.length + 12)
  bytes.writeUInt32BE(body.length, 0)
  bytes.write(kind, 4, 'latin1')
  bytes.set(body, 8)
  bytes.writeUInt32BE(crc32(bytes.subarray(4, 8 + body.length)), body.length + 8)
  return bytes
}
