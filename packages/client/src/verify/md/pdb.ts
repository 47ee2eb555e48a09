import type { Work } from '@manyhands/core'
import { Unreadable } from '../unreadable.ts'
import type { Frame } from './structure.ts'
import type { TextLines } from './text-lines.ts'

const NM_PER_ANGSTROM = 0.1
const LINES_PER_TURN = 512
/** Columns of x, y and z, 8 wide each. */
const POSITIONS = 30

/** Models of a .pdb file; one without MODEL lines is one frame. @throws Unreadable */
export function* readPdb(lines: TextLines): Work<Frame[]> {
  const frames: Frame[] = []
  let atoms: string[] = []
  let positions: number[] = []
  const frameEnds = () => {
    if (atoms.length > 0) frames.push({ atoms, positions: Float64Array.from(positions) })
    atoms = []
    positions = []
  }
  let read = 0
  for (let line = lines.next(); line !== undefined; line = lines.next()) {
    if (line.startsWith('ATOM  ') || line.startsWith('HETATM')) {
      // Name, residue, chain and the residue's number; not the atom's own, which wraps around.
      atoms.push(line.slice(12, 26).trim())
      for (let axis = 0; axis < 3; axis += 1) {
        const from = POSITIONS + axis * 8
        const text = line.slice(from, from + 8).trim()
        const value = text === '' ? Number.NaN : Number(text)
        if (!Number.isFinite(value)) throw new Unreadable('an atom has no position')
        positions.push(value * NM_PER_ANGSTROM)
      }
    } else if (line.startsWith('ENDMDL')) frameEnds()
    read += 1
    if (read % LINES_PER_TURN === 0) yield
  }
  frameEnds()
  if (frames.length === 0) throw new Unreadable('it has no atoms')
  return frames
}
