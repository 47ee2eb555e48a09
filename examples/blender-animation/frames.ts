import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type DecodedPng, decode } from 'fast-png'

/** The name that `scene.py` gives to a frame. */
export const frameName = (frame: number) => `frame_${String(frame).padStart(4, '0')}.png`

export interface FrameComparison {
  compared: number
  /** Largest difference of any channel of any pixel, 0 to 255. */
  maxDifference: number
  /** Frames that are missing on one side, differ in shape, or differ in a pixel. */
  different: number[]
}

/**
 * Compares two directories of frames pixel by pixel. Decoded pixels, not bytes of files: Blender
 * writes how long a frame took into its PNG.
 */
export async function compareFrames(
  ours: string,
  reference: string,
  frames: number,
): Promise<FrameComparison> {
  const result: FrameComparison = { compared: 0, maxDifference: 0, different: [] }
  for (let frame = 1; frame <= frames; frame += 1) {
    const [a, b] = await Promise.all([pixels(ours, frame), pixels(reference, frame)])
    if (a === undefined || b === undefined || !sameShape(a, b)) {
      result.different.push(frame)
      continue
    }
    const difference = largestDifference(a.data, b.data)
    result.compared += 1
    result.maxDifference = Math.max(result.maxDifference, difference)
    if (difference > 0) result.different.push(frame)
  }
  return result
}

async function pixels(directory: string, frame: number): Promise<DecodedPng | undefined> {
  try {
    return decode(await readFile(join(directory, frameName(frame))))
  } catch {
    return undefined
  }
}

const sameShape = (a: DecodedPng, b: DecodedPng) =>
  a.width === b.width && a.height === b.height && a.channels === b.channels && a.depth === b.depth

function largestDifference(a: DecodedPng['data'], b: DecodedPng['data']): number {
  let largest = 0
  for (let at = 0; at < a.length; at += 1) {
    largest = Math.max(largest, Math.abs(a[at]! - b[at]!))
  }
  return largest
}
