/** Sweeps over all pairs of axes; a handful is enough. */
const SWEEPS = 32
const EXACT = 1e-14

/**
 * Root mean square distance of two sets of points after the best rotation and translation of one onto the
 * other, by the largest eigenvalue of the quaternion matrix (Horn, J. Opt. Soc. Am. A4, 1987).
 *
 * @param a, b - x y z of each point, as many in both
 * @returns in their unit
 */
export function rmsd(a: Float64Array, b: Float64Array): number {
  const count = a.length / 3
  const m = covariance(a, b)
  const { innerProduct, sxx, sxy, sxz, syx, syy, syz, szx, szy, szz } = m
  const lambda = largestEigenvalue([
    [sxx + syy + szz, syz - szy, szx - sxz, sxy - syx],
    [syz - szy, sxx - syy - szz, sxy + syx, szx + sxz],
    [szx - sxz, sxy + syx, syy - sxx - szz, syz + szy],
    [sxy - syx, szx + sxz, syz + szy, szz - sxx - syy],
  ])
  return Math.sqrt(Math.max(0, (2 * (innerProduct - lambda)) / count))
}

function covariance(a: Float64Array, b: Float64Array) {
  const centreA = centreOf(a)
  const centreB = centreOf(b)
  const s = new Float64Array(9)
  let squares = 0
  for (let at = 0; at < a.length; at += 3) {
    for (let row = 0; row < 3; row += 1) {
      const p = a[at + row]! - centreA[row]!
      const own = b[at + row]! - centreB[row]!
      squares += p * p + own * own
      for (let column = 0; column < 3; column += 1) {
        s[row * 3 + column]! += p * (b[at + column]! - centreB[column]!)
      }
    }
  }
  const [sxx, sxy, sxz, syx, syy, syz, szx, szy, szz] = s as unknown as number[]
  return {
    innerProduct: squares / 2,
    sxx: sxx!,
    sxy: sxy!,
    sxz: sxz!,
    syx: syx!,
    syy: syy!,
    syz: syz!,
    szx: szx!,
    szy: szy!,
    szz: szz!,
  }
}

function centreOf(points: Float64Array): number[] {
  const sum = [0, 0, 0]
  for (let at = 0; at < points.length; at += 1) sum[at % 3]! += points[at]!
  return sum.map((value) => value / (points.length / 3))
}

/**
 * Of a symmetric matrix, by Jacobi's rotations: slower than Newton's steps on the polynomial, and right also
 * where eigenvalues coincide, as those of points on a line do.
 */
function largestEigenvalue(m: number[][]): number {
  const size = m.length
  const scale = Math.max(...m.flat().map(Math.abs))
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    let off = 0
    for (let p = 0; p < size; p += 1) {
      for (let q = p + 1; q < size; q += 1) {
        off = Math.max(off, Math.abs(m[p]![q]!))
        rotate(m, p, q)
      }
    }
    if (off <= EXACT * scale) break
  }
  return Math.max(...m.map((row, at) => row[at]!))
}

/** Turns two axes so that nothing is left between them. */
function rotate(m: number[][], p: number, q: number): void {
  const between = m[p]![q]!
  if (between === 0) return
  const theta = (m[q]![q]! - m[p]![p]!) / (2 * between)
  const t = (theta < 0 ? -1 : 1) / (Math.abs(theta) + Math.hypot(theta, 1))
  const c = 1 / Math.hypot(t, 1)
  const s = t * c
  for (const row of m) {
    const [a, b] = [row[p]!, row[q]!]
    row[p] = c * a - s * b
    row[q] = s * a + c * b
  }
  const [first, second] = [m[p]!, m[q]!]
  for (let at = 0; at < m.length; at += 1) {
    const [a, b] = [first[at]!, second[at]!]
    first[at] = c * a - s * b
    second[at] = s * a + c * b
  }
}
