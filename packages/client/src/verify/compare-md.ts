import { inTurns, LIMITS, type MdComparator, type Work } from '@manyhands/core'
import type { FileComparison } from './compare-files.ts'
import { type Comparison, different, near, worst } from './comparison.ts'
import { readGro } from './md/gro.ts'
import { readPdb } from './md/pdb.ts'
import { rmsd } from './md/rmsd.ts'
import type { Frame } from './md/structure.ts'
import { TextLines } from './md/text-lines.ts'
import { readXvg, type Series } from './md/xvg.ts'
import { Unreadable } from './unreadable.ts'

const RMSD_NM = 0.2
const ENERGY = 0.02

type Tolerances = Required<Pick<MdComparator, 'rmsd' | 'energy' | 'energyAbsolute'>>

/** Runs of a chaotic system part soon: structures are compared as shapes, series by their means. */
export function mdFiles(options: MdComparator): FileComparison {
  const { rmsd: most = RMSD_NM, energy = ENERGY, energyAbsolute = 0 } = options
  const tolerances = { rmsd: most, energy, energyAbsolute }
  return {
    kind: ['**/*.{gro,pdb,xvg}'],
    maxBytes: LIMITS.comparedTextBytes,
    compare: (path, a, b) => inTurns(compareOne(path, a, b, tolerances)),
  }
}

function* compareOne(
  path: string,
  a: Uint8Array,
  b: Uint8Array,
  tolerances: Tolerances,
): Work<Comparison> {
  const kind = path.slice(path.lastIndexOf('.') + 1)
  if (kind === 'xvg') {
    const left = yield* readXvg(new TextLines(a))
    return compareSeries(path, left, yield* readXvg(new TextLines(b)), tolerances)
  }
  const read = { gro: readGro, pdb: readPdb }[kind]
  if (read === undefined) throw new Unreadable('it is no .gro, .pdb or .xvg')
  const left = yield* read(new TextLines(a))
  const right = yield* read(new TextLines(b))
  if (left.length !== right.length) return different(`${path} has not as many frames in both`)
  const frames: Comparison[] = []
  for (const [index, frame] of left.entries()) {
    const compared = compareFrames(path, index, frame, right[index]!, tolerances.rmsd)
    if (!compared.equal) return compared
    frames.push(compared)
    yield
  }
  return worst(frames)
}

function compareFrames(path: string, index: number, a: Frame, b: Frame, most: number): Comparison {
  const where = `frame ${index + 1} of ${path}`
  const same =
    a.atoms.length === b.atoms.length && a.atoms.every((atom, at) => atom === b.atoms[at])
  if (!same) return different(`${where} has other atoms`)
  const distance = rmsd(a.positions, b.positions)
  // Said in this order, so that what is no number is no agreement.
  if (distance <= most) return { equal: true, distance }
  return different(`${where} is ${distance.toFixed(3)} nm apart`)
}

function compareSeries(
  path: string,
  a: Series,
  b: Series,
  { energy, energyAbsolute }: Tolerances,
): Comparison {
  if (a.rows !== b.rows || a.means.length !== b.means.length) {
    return different(`${path} has not as many rows and columns in both`)
  }
  if (!near(a.from, b.from, 0, 1e-6) || !near(a.to, b.to, 0, 1e-6)) {
    return different(`${path} is not over the same time`)
  }
  let distance = 0
  for (const [column, mean] of a.means.entries()) {
    const other = b.means[column]!
    if (!near(mean, other, energyAbsolute, energy)) {
      return different(`column ${column + 1} of ${path} has means of ${mean} and ${other}`)
    }
    const scale = Math.max(Math.abs(mean), Math.abs(other))
    if (scale > 0) distance = Math.max(distance, Math.abs(mean - other) / scale)
  }
  return { equal: true, distance }
}
