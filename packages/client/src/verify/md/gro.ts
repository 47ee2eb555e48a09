import type { Work } from '@manyhands/core'
import { Unreadable } from '../unreadable.ts'
import type { Frame } from './structure.ts'
import type { TextLines } from './text-lines.ts'

/** Columns before the positions: residue, its name, the atom's name, its number. */
const HEAD = 20
const LINES_PER_TURN = 512

/**
 * Frames of a .gro file: a title, the number of atoms, one line for each, the box. Positions have as many
 * decimals as they were written with, which the distance of their points tells.
 *
 * @throws Unreadable
 */
export function* readGro(lines: TextLines): Work<Frame[]> {
  const frames: Frame[] = []
  for (let title = lines.next(); title !== undefined; title = lines.next()) {
    if (title.trim() === '' && frames.length > 0) continue
    const count = Number(lines.next()?.trim() || Number.NaN)
    if (!Number.isSafeInteger(count) || count < 1) throw new Unreadable('it has no number of atoms')
    const atoms: string[] = []
    // Grown as lines come: a number alone takes no memory.
    const positions: number[] = []
    for (let n = 0; n < count; n += 1) {
      const line = lines.next()
      if (line === undefined) throw new Unreadable('atoms are missing')
      readAtom(line, atoms, positions)
      if (n % LINES_PER_TURN === 0) yield
    }
    if (lines.next() === undefined) throw new Unreadable('it has no box')
    frames.push({ atoms, positions: Float64Array.from(positions) })
  }
  if (frames.length === 0) throw new Unreadable('it is empty')
  return frames
}

function readAtom(line: string, atoms: string[], positions: number[]): void {
  const first = line.indexOf('.', HEAD)
  const width = line.indexOf('.', first + 1) - first
  if (first < 0 || width < 2) throw new Unreadable('an atom has no position')
  atoms.push(line.slice(0, HEAD - 5).trim())
  for (let axis = 0; axis < 3; axis += 1) {
    const value = Number(line.slice(HEAD + axis * width, HEAD + (axis + 1) * width) || Number.NaN)
    if (!Number.isFinite(value)) throw new Unreadable('an atom has no position')
    positions.push(value)
  }
}
