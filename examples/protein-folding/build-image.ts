/**
 * Builds the image that the example simulates with, without any registry: Debian's own packages make a
 * small system, and Debian's own GROMACS goes on top.
 *
 *   node build-image.ts
 *
 * Does nothing when the image exists. Takes one to two minutes and about 0.4 GB of the engine's disk.
 */
import { buildOnly, ensureDebianImage } from '../debian-image/debian-image.ts'

export const GROMACS_IMAGE = 'manyhands-example/gromacs:1'

/** Builds the image unless the engine has it. Resolves to whether it had to. @throws SetupError */
export function ensureGromacsImage(say: (line: string) => void): Promise<boolean> {
  return ensureDebianImage({ tag: GROMACS_IMAGE, packages: ['gromacs'] }, say)
}

if (import.meta.main) await buildOnly(ensureGromacsImage)
