import { readFile, writeFile } from 'node:fs/promises'
import { decode, encode } from 'fast-png'

export interface ContactSheetOptions {
  /** Pictures in one row. */
  columns: number
  /** How many times smaller a picture becomes, along each side. */
  shrink: number
  /** Pixels between pictures and around them. */
  gap: number
}

/** Puts all frames beside each other into one PNG, in their order. */
export async function writeContactSheet(
  frames: readonly string[],
  path: string,
  options: ContactSheetOptions,
): Promise<void> {
  await writeFile(
    path,
    contactSheet(await Promise.all(frames.map((frame) => readFile(frame))), options),
  )
}

export function contactSheet(
  frames: readonly Uint8Array[],
  options: ContactSheetOptions,
): Uint8Array {
  const { columns, shrink, gap } = options
  const images = frames.map((frame) => decode(frame))
  const first = images[0]
  if (first === undefined) throw new RangeError('a contact sheet needs at least one frame')
  const cellWidth = Math.floor(first.width / shrink)
  const cellHeight = Math.floor(first.height / shrink)
  const used = Math.min(columns, images.length)
  const width = used * (cellWidth + gap) + gap
  const height = Math.ceil(images.length / columns) * (cellHeight + gap) + gap
  const sheet = new Uint8Array(3 * width * height).fill(18)
  for (const [index, image] of images.entries()) {
    if (image.width !== first.width || image.height !== first.height || image.depth !== 8) {
      throw new RangeError(`frame ${index + 1} differs from the first in size or kind`)
    }
    const left = gap + (index % columns) * (cellWidth + gap)
    const top = gap + Math.floor(index / columns) * (cellHeight + gap)
    for (let y = 0; y < cellHeight; y += 1) {
      for (let x = 0; x < cellWidth; x += 1) {
        const to = 3 * ((top + y) * width + left + x)
        for (let channel = 0; channel < 3; channel += 1) {
          sheet[to + channel] = mean(image, x * shrink, y * shrink, shrink, channel)
        }
      }
    }
  }
  return encode({ width, height, data: sheet, channels: 3, depth: 8 })
}

/** Mean of a square of pixels. */
function mean(
  image: { data: ArrayLike<number>; width: number; channels: number },
  left: number,
  top: number,
  size: number,
  channel: number,
): number {
  // A grey picture has one channel, which is all three.
  const offset = image.channels < 3 ? 0 : channel
  let sum = 0
  for (let y = top; y < top + size; y += 1) {
    for (let x = left; x < left + size; x += 1) {
      sum += image.data[(y * image.width + x) * image.channels + offset]!
    }
  }
  return Math.round(sum / (size * size))
}
