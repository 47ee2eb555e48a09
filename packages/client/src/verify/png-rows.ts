import type { PackedPng } from './png.ts'
import { Unreadable } from './unreadable.ts'

/** Values of one row, four for each pixel (red, green, blue, alpha), each 0 to 1. */
export type PixelRow = Float32Array

/** Reads the rows of an unpacked PNG one after the other; the row that it returns is used again. */
export class PngRows {
  readonly #png: PackedPng
  readonly #rows: Buffer
  readonly #stride: number
  readonly #pixels: PixelRow
  #previous: Uint8Array
  #next = 0

  constructor(png: PackedPng, rows: Buffer) {
    this.#png = png
    this.#rows = rows
    this.#stride = Math.max(1, (png.samples * png.depth) >> 3)
    this.#previous = new Uint8Array(png.rowBytes)
    this.#pixels = new Float32Array(png.width * 4)
  }

  /** @throws Unreadable */
  next(): PixelRow {
    const { rowBytes } = this.#png
    const at = this.#next * (rowBytes + 1)
    const row = this.#rows.subarray(at + 1, at + 1 + rowBytes)
    unfilter(this.#rows[at]!, row, this.#previous, this.#stride)
    this.#previous = row
    this.#next += 1
    this.#expand(row)
    return this.#pixels
  }

  #expand(row: Uint8Array): void {
    const { width, samples, colour, depth, palette, transparency } = this.#png
    const pixels = this.#pixels
    const most = 2 ** depth - 1
    const clear = colour === 0 || colour === 2 ? clearValues(transparency, samples) : undefined
    for (let x = 0; x < width; x += 1) {
      const to = x * 4
      const first = sampleAt(row, x * samples, depth)
      if (colour === 3) {
        // A colour that the palette lacks is black: what differs is seen all the same.
        for (let c = 0; c < 3; c += 1) pixels[to + c] = (palette![first * 3 + c] ?? 0) / 255
        pixels[to + 3] = (transparency?.[first] ?? 255) / 255
        continue
      }
      const grey = samples < 3
      const green = grey ? first : sampleAt(row, x * samples + 1, depth)
      const blue = grey ? first : sampleAt(row, x * samples + 2, depth)
      pixels[to] = first / most
      pixels[to + 1] = green / most
      pixels[to + 2] = blue / most
      if (samples === 2 || samples === 4) {
        pixels[to + 3] = sampleAt(row, x * samples + samples - 1, depth) / most
      } else if (clear !== undefined) {
        const isClear = grey
          ? first === clear[0]
          : first === clear[0] && green === clear[1] && blue === clear[2]
        pixels[to + 3] = isClear ? 0 : 1
      } else pixels[to + 3] = 1
    }
  }
}

function clearValues(transparency: Uint8Array | undefined, samples: number): number[] | undefined {
  if (transparency === undefined || transparency.length < samples * 2) return undefined
  return Array.from(
    { length: samples },
    (_, n) => transparency[n * 2]! * 256 + transparency[n * 2 + 1]!,
  )
}

function sampleAt(row: Uint8Array, index: number, depth: number): number {
  if (depth === 8) return row[index]!
  if (depth === 16) return row[index * 2]! * 256 + row[index * 2 + 1]!
  const bit = index * depth
  return (row[bit >> 3]! >> (8 - depth - (bit & 7))) & (2 ** depth - 1)
}

/** In place. Each byte was written as its difference to what its neighbours foretell. */
function unfilter(filter: number, row: Uint8Array, up: Uint8Array, stride: number): void {
  if (filter === 0) return
  if (filter > 4) throw new Unreadable('a row has no known filter')
  for (let at = 0; at < row.length; at += 1) {
    const left = at < stride ? 0 : row[at - stride]!
    const above = up[at]!
    if (filter === 1) row[at] = row[at]! + left
    else if (filter === 2) row[at] = row[at]! + above
    else if (filter === 3) row[at] = row[at]! + ((left + above) >> 1)
    else row[at] = row[at]! + paeth(left, above, at < stride ? 0 : up[at - stride]!)
  }
}

function paeth(left: number, above: number, corner: number): number {
  const guess = left + above - corner
  const toLeft = Math.abs(guess - left)
  const toAbove = Math.abs(guess - above)
  const toCorner = Math.abs(guess - corner)
  if (toLeft <= toAbove && toLeft <= toCorner) return left
  return toAbove <= toCorner ? above : corner
}
