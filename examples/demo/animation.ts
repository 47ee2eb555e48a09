import { readFile, writeFile } from 'node:fs/promises'
import { crc32, deflateSync } from 'node:zlib'
import { decode } from 'fast-png'

const SIGNATURE = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a)
const COLOUR_TYPES: Record<number, number> = { 1: 0, 2: 4, 3: 2, 4: 6 }
const PAETH = 4

/**
 * Joins PNG files of one size into an animated PNG that loops for ever; any browser shows it.
 * https://www.w3.org/TR/png-3/#apng-frame-based-animation
 */
export async function writeAnimation(
  frames: readonly string[],
  path: string,
  { framesPerSecond }: { framesPerSecond: number },
): Promise<void> {
  await writeFile(
    path,
    joinFrames(await Promise.all(frames.map((frame) => readFile(frame))), framesPerSecond),
  )
}

export function joinFrames(frames: readonly Uint8Array[], framesPerSecond: number): Buffer {
  if (frames.length === 0) throw new RangeError('an animation needs at least one frame')
  const images = frames.map((frame) => decode(frame))
  const { width, height, channels, depth } = images[0]!
  if (depth !== 8) throw new RangeError(`frames have 8 bits a channel, not ${depth}`)
  const chunks = [
    chunk('IHDR', numbers([4, width], [4, height], [1, 8], [1, COLOUR_TYPES[channels]!], [3, 0])),
    chunk('acTL', numbers([4, images.length], [4, 0])),
  ]
  // Frame controls and frame data are counted together.
  let sequence = 0
  for (const [index, image] of images.entries()) {
    if (image.width !== width || image.height !== height || image.channels !== channels) {
      throw new RangeError(`frame ${index + 1} differs from the first in size or kind`)
    }
    const control = [
      [4, width],
      [4, height],
      [4, 0],
      [4, 0],
      [2, 1],
      [2, framesPerSecond],
      [2, 0],
    ]
    chunks.push(chunk('fcTL', numbers([4, sequence++], ...control)))
    const data = compressed(image.data as Uint8Array, width * channels, height, channels)
    // The first frame is also what a program without animation shows.
    if (index === 0) chunks.push(chunk('IDAT', data))
    else chunks.push(chunk('fdAT', Buffer.concat([numbers([4, sequence++]), data])))
  }
  return Buffer.concat([SIGNATURE, ...chunks, chunk('IEND', Buffer.alloc(0))])
}

function chunk(type: string, data: Uint8Array): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data])
  return Buffer.concat([numbers([4, data.length]), body, numbers([4, crc32(body)])])
}

/** Unsigned numbers, each as [bytes, value], the highest byte first. */
function numbers(...fields: number[][]): Buffer {
  return Buffer.concat(
    fields.map(([length, value]) => {
      const bytes = Buffer.alloc(length!)
      bytes.writeUIntBE(value!, 0, length!)
      return bytes
    }),
  )
}

/** Rows as differences to what their neighbours predict (filter "Paeth"), then deflated. */
function compressed(pixels: Uint8Array, row: number, height: number, channels: number): Buffer {
  const rows = Buffer.alloc((row + 1) * height)
  let out = 0
  for (let y = 0; y < height; y += 1) {
    rows[out++] = PAETH
    for (let x = 0; x < row; x += 1) {
      const at = y * row + x
      const left = x < channels ? 0 : pixels[at - channels]!
      const above = y === 0 ? 0 : pixels[at - row]!
      const corner = x < channels || y === 0 ? 0 : pixels[at - row - channels]!
      rows[out++] = pixels[at]! - predicted(left, above, corner)
    }
  }
  return deflateSync(rows, { level: 9 })
}

function predicted(left: number, above: number, corner: number): number {
  const toLeft = Math.abs(above - corner)
  const toAbove = Math.abs(left - corner)
  const toCorner = Math.abs(left + above - 2 * corner)
  if (toLeft <= toAbove && toLeft <= toCorner) return left
  return toAbove <= toCorner ? above : corner
}
