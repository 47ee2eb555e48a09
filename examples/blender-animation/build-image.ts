/**
 * Builds the image that the example renders with, without any registry: Debian's own packages make a
 * small system, and Debian's own Blender goes on top.
 *
 *   node build-image.ts
 *
 * Does nothing when the image exists. Takes one to two minutes and about 1.3 GB of the engine's disk.
 */
import { buildOnly, ensureDebianImage } from '../debian-image/debian-image.ts'

export const BLENDER_IMAGE = 'manyhands-example/blender:1'

/** Builds the image unless the engine has it. Resolves to whether it had to. @throws SetupError */
export function ensureBlenderImage(say: (line: string) => void): Promise<boolean> {
  return ensureDebianImage({ tag: BLENDER_IMAGE, packages: ['blender'] }, say)
}

if (import.meta.main) await buildOnly(ensureBlenderImage)
