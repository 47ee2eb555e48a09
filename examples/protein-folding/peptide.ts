/**
 * A stretched chain of alanine as a PDB file: the heavy atoms, from bond lengths, angles and torsions of
 * proteins. Hydrogens are the program's business.
 */

type Point = readonly [x: number, y: number, z: number]

/** Ångström and degrees. */
const BOND = { nToCa: 1.458, caToC: 1.525, cToN: 1.329, cToO: 1.231 }
const ANGLE = { atN: 121.7, atCa: 111.0, atC: 116.6, atO: 120.5 }
/** A strand: as long as the chain can be. */
const TORSION = { phi: -139, psi: 135, omega: 180 }

const subtract = (a: Point, b: Point): Point => [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
const cross = (a: Point, b: Point): Point => [
  a[1] * b[2] - a[2] * b[1],
  a[2] * b[0] - a[0] * b[2],
  a[0] * b[1] - a[1] * b[0],
]
const unit = (a: Point): Point => {
  const length = Math.hypot(...a)
  return [a[0] / length, a[1] / length, a[2] / length]
}
const sum = (...terms: (readonly [factor: number, point: Point])[]): Point => {
  const along = (axis: 0 | 1 | 2) =>
    terms.reduce((total, [factor, point]) => total + factor * point[axis], 0)
  return [along(0), along(1), along(2)]
}
const radians = (degrees: number) => (degrees * Math.PI) / 180

/** The atom that is bound to `c`, with its angle to `b` and its torsion to `a`. */
function next(a: Point, b: Point, c: Point, length: number, angle: number, torsion: number): Point {
  const along = unit(subtract(c, b))
  const normal = unit(cross(subtract(b, a), along))
  const across = cross(normal, along)
  const [theta, tau] = [radians(angle), radians(torsion)]
  return sum(
    [1, c],
    [-length * Math.cos(theta), along],
    [length * Math.sin(theta) * Math.cos(tau), across],
    [length * Math.sin(theta) * Math.sin(tau), normal],
  )
}

/** Where the side chain of a left-handed amino acid begins. */
function beta(n: Point, ca: Point, c: Point): Point {
  const [b, d] = [subtract(ca, n), subtract(c, ca)]
  return sum([-0.58273431, cross(b, d)], [0.56802827, b], [-0.54067466, d], [1, ca])
}

/** A chain of so many alanines. */
export function alanineChain(residues: number): string {
  let n: Point = [0, 0, 0]
  let ca: Point = [BOND.nToCa, 0, 0]
  let c: Point = next([0, 1, 0], n, ca, BOND.caToC, ANGLE.atCa, 180)
  const lines: string[] = []
  for (let residue = 1; residue <= residues; residue += 1) {
    const nextN = next(n, ca, c, BOND.cToN, ANGLE.atC, TORSION.psi)
    const o = next(n, ca, c, BOND.cToO, ANGLE.atO, TORSION.psi + 180)
    for (const [name, point] of Object.entries({ N: n, CA: ca, C: c, O: o, CB: beta(n, ca, c) })) {
      lines.push(atomLine(lines.length + 1, name, residue, point))
    }
    const nextCa = next(ca, c, nextN, BOND.nToCa, ANGLE.atN, TORSION.omega)
    const nextC = next(c, nextN, nextCa, BOND.caToC, ANGLE.atCa, TORSION.phi)
    n = nextN
    ca = nextCa
    c = nextC
  }
  return [...lines, 'TER', 'END', ''].join('\n')
}

function atomLine(serial: number, name: string, residue: number, point: Point): string {
  const [x, y, z] = point.map((value) => value.toFixed(3).padStart(8))
  const head = `ATOM  ${`${serial}`.padStart(5)}  ${name.padEnd(3)} ALA A${`${residue}`.padStart(4)}`
  return `${head}    ${x}${y}${z}  1.00  0.00           ${name[0]}`
}
