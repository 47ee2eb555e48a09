import { type ImageComparator, inTurns, LIMITS, type Work } from '@manyhands/core'
import type { FileComparison } from './compare-files.ts'
import { type Comparison, different } from './comparison.ts'
import { openPng, type PackedPng, unpackPng } from './png.ts'
import { PngRows } from './png-rows.ts'

/** As Blender compares the images of its own tests. */
const THRESHOLD = 0.016
const PIXELS = 0.01

export function imageFiles(options: ImageComparator): FileComparison {
  const { threshold = THRESHOLD, pixels = PIXELS } = options
  return {
    kind: ['**/*.png'],
    maxBytes: LIMITS.comparedFileBytes,
    compare: async (path, a, b) => {
      const left = openPng(a)
      const right = openPng(b)
      if (left.width !== right.width || left.height !== right.height) {
        return different(
          `${path} has ${left.width} × ${left.height} and ${right.width} × ${right.height} pixels`,
        )
      }
      const rows = [await rowsOf(left), await rowsOf(right)] as const
      const counted = await inTurns(countPixels(left, rows, threshold))
      const share = counted.over / (left.width * left.height)
      if (share > pixels)
        return different(`${(share * 100).toFixed(2)} % of the pixels of ${path} differ`)
      return {
        equal: true,
        distance: counted.sum / (left.width * left.height * 4),
      } satisfies Comparison
    },
  }
}

async function rowsOf(png: PackedPng): Promise<PngRows> {
  return new PngRows(png, await unpackPng(png))
}

/** Pixels of which a channel differs by more than the threshold, and the sum of all differences. */
function* countPixels(
  { width, height }: PackedPng,
  [left, right]: readonly [PngRows, PngRows],
  threshold: number,
): Work<{ over: number; sum: number }> {
  let over = 0
  let sum = 0
  for (let y = 0; y < height; y += 1) {
    const one = left.next()
    const other = right.next()
    for (let x = 0; x < width; x += 1) {
      let most = 0
      for (let at = x * 4; at < x * 4 + 4; at += 1) {
        const apart = Math.abs(one[at]! - other[at]!)
        sum += apart
        if (apart > most) most = apart
      }
      if (most > threshold) over += 1
    }
    yield
  }
  return { over, sum }
}
