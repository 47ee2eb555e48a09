import type { Comparator } from '@manyhands/core'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compareResults } from '../../src/verify/compare-results.ts'
import { rmsd } from '../../src/verify/md/rmsd.ts'
import { resultWith } from './results.ts'

type Point = [number, number, number]

const WATER: Point[] = [
  [0.126, 1.624, 1.679],
  [0.19, 1.661, 1.747],
  [0.177, 1.568, 1.613],
  [1.275, 0.053, 0.622],
  [1.337, 0.002, 0.68],
]

function gro(frames: Point[][], names = ['OW', 'HW1', 'HW2'], decimals = 3): string {
  return frames
    .map((points, frame) => {
      const width = decimals + 5
      const atoms = points.map((point, n) => {
        const name = names[n % names.length]!.padStart(5)
        const head = `${String(1).padStart(5)}WATER${name}${String(n + 1).padStart(5)}`
        return head + point.map((value) => value.toFixed(decimals).padStart(width)).join('')
      })
      return `water t= ${frame}.0\n${points.length}\n${atoms.join('\n')}\n   1.8 1.8 1.8\n`
    })
    .join('')
}

function pdb(frames: Point[][]): string {
  const models = frames.map((points, frame) => {
    const atoms = points.map((point, n) => {
      const at = point.map((value) => (value * 10).toFixed(3).padStart(8)).join('')
      return `ATOM  ${String(n + 1).padStart(5)}  CA  ALA A${String(n).padStart(4)}    ${at}  1.00  0.00`
    })
    return `MODEL     ${frame + 1}\n${atoms.join('\n')}\nENDMDL\n`
  })
  return `REMARK of a test\n${models.join('')}END\n`
}

function xvg(values: number[][]): string {
  const head = '# made by a test\n@ title "Energy"\n@ s0 legend "Potential"\n'
  return head + values.map((row) => row.map((value) => `   ${value}`).join('')).join('\n')
}

const moved = (points: Point[], by: number): Point[] =>
  points.map(([x, y, z], n) => (n === 0 ? [x + by, y, z] : [x, y, z]))

/** Turned about z, and put elsewhere. */
const turned = (points: Point[], angle: number): Point[] =>
  points.map(([x, y, z]) => [
    x * Math.cos(angle) - y * Math.sin(angle) + 2,
    x * Math.sin(angle) + y * Math.cos(angle) + 3,
    z + 1,
  ])

async function compare(path: string, a: string, b: string, comparator: Comparator = 'md') {
  return compareResults(comparator, resultWith({ [path]: a }), resultWith({ [path]: b }))
}

describe('structures', () => {
  it.each([
    ['f.gro', gro],
    ['f.pdb', pdb],
  ] as const)('of %s are compared as shapes, wherever they lie', async (path, write) => {
    const one = write([WATER, WATER])
    expect((await compare(path, one, one)).distance).toBeCloseTo(0, 4)
    const other = await compare(path, one, write([WATER, turned(WATER, 1)]))
    expect(other).toMatchObject({ equal: true })
    expect(other.distance).toBeLessThan(0.002)
    const near = await compare(path, one, write([WATER, moved(WATER, 0.2)]))
    expect(near.equal).toBe(true)
    expect(near.distance).toBeGreaterThan(0.05)
    expect((await compare(path, one, write([WATER, moved(WATER, 2)]))).equal).toBe(false)
    const strict = { kind: 'md' as const, rmsd: 0.01 }
    expect((await compare(path, one, write([WATER, moved(WATER, 0.2)]), strict)).equal).toBe(false)
  })

  it('have the same atoms and frames', async () => {
    const one = gro([WATER])
    expect((await compare('f.gro', one, gro([WATER, WATER]))).equal).toBe(false)
    expect((await compare('f.gro', one, gro([WATER.slice(1)]))).equal).toBe(false)
    expect((await compare('f.gro', one, gro([WATER], ['OW', 'HW1', 'XX']))).equal).toBe(false)
  })

  it('may have more decimals', async () => {
    const comparison = await compare('f.gro', gro([WATER]), gro([WATER], undefined, 5))
    expect(comparison).toMatchObject({ equal: true })
  })

  it.each([
    ['f.gro', 'no structure'],
    ['f.gro', ''],
    ['f.gro', 'title\n99999999\n'],
    ['f.gro', 'title\n-1\n'],
    ['f.gro', gro([WATER]).replace('1.679', '  NaN')],
    ['f.gro', gro([WATER]).split('\n').slice(0, 5).join('\n')],
    ['f.pdb', 'HEADER\nEND\n'],
    ['f.pdb', pdb([WATER]).replace('16.790', 'zzzzzz')],
    ['f.xvg', '# nothing\n'],
    ['f.xvg', '1 2\n2 nan\n'],
    ['f.xvg', '1 2\n2 3 4\n'],
    ['f.xvg', '1 1e999\n'],
  ])('%s that is none equals nothing: %j', async (path, text) => {
    expect((await compare(path, text, text)).equal).toBe(false)
  })
})

describe('series', () => {
  const energies = (shift: number) =>
    xvg(Array.from({ length: 50 }, (_, n) => [n, -1000 + 10 * Math.sin(n) + shift, 300]))

  it('are compared by their means', async () => {
    expect((await compare('e.xvg', energies(0), energies(0))).distance).toBe(0)
    expect((await compare('e.xvg', energies(0), energies(15))).equal).toBe(true)
    expect((await compare('e.xvg', energies(0), energies(30))).equal).toBe(false)
    const absolute = { kind: 'md' as const, energy: 0, energyAbsolute: 40 }
    expect((await compare('e.xvg', energies(0), energies(30), absolute)).equal).toBe(true)
  })

  it('are over the same time, with the same columns', async () => {
    const one = xvg([
      [0, 1],
      [1, 1],
    ])
    expect(
      (
        await compare(
          'e.xvg',
          one,
          xvg([
            [0, 1],
            [2, 1],
          ]),
        )
      ).equal,
    ).toBe(false)
    expect((await compare('e.xvg', one, xvg([[0, 1]]))).equal).toBe(false)
    expect(
      (
        await compare(
          'e.xvg',
          one,
          xvg([
            [0, 1, 1],
            [1, 1, 1],
          ]),
        )
      ).equal,
    ).toBe(false)
  })
})

describe('the RMSD', () => {
  const point = fc.tuple(
    ...([0, 1, 2].map(() => fc.double({ min: -5, max: 5, noNaN: true })) as [
      fc.Arbitrary<number>,
      fc.Arbitrary<number>,
      fc.Arbitrary<number>,
    ]),
  )
  const points = fc.array(point, { minLength: 1, maxLength: 12 })
  const flat = (list: Point[]) => Float64Array.from(list.flat())

  it('is none after a motion of points on a line, however small some of them are', () => {
    const line: Point[] = [
      [0, -3.1547965107691235e-16, 0],
      [0, 0, 4.698362230200722],
      [-3.04569341195609e-270, 0, 0],
      [0, 0, 0],
    ]
    expect(rmsd(flat(line), flat(turned(line, 5.493166255012684)))).toBeLessThan(1e-3)
  })

  it('is none after any motion, and symmetric', () => {
    fc.assert(
      fc.property(points, points, fc.double({ min: 0, max: 6, noNaN: true }), (a, b, angle) => {
        expect(rmsd(flat(a), flat(turned(a, angle)))).toBeLessThan(1e-3)
        const size = Math.min(a.length, b.length)
        const [one, other] = [flat(a.slice(0, size)), flat(b.slice(0, size))]
        expect(rmsd(one, other)).toBeCloseTo(rmsd(other, one), 3)
      }),
    )
  })

  it('is no larger than without a rotation, and that of two points is known', () => {
    fc.assert(
      fc.property(points, points, (a, b) => {
        const size = Math.min(a.length, b.length)
        const [one, other] = [centred(a.slice(0, size)), centred(b.slice(0, size))]
        const plain = Math.sqrt(one.reduce((sum, v, at) => sum + (v - other[at]!) ** 2, 0) / size)
        expect(rmsd(one, other)).toBeLessThanOrEqual(plain + 1e-3)
      }),
    )
    const [short, long] = [
      flat([
        [0, 0, 0],
        [1, 0, 0],
      ]),
      flat([
        [0, 0, 0],
        [0, 3, 0],
      ]),
    ]
    expect(rmsd(short, long)).toBeCloseTo(1, 6)
  })

  it('does not turn a hand into the other one', () => {
    const left: Point[] = [
      [0, 0, 0],
      [1, 0, 0],
      [0, 2, 0],
      [0, 0, 3],
    ]
    const right = left.map(([x, y, z]): Point => [-x, y, z])
    expect(rmsd(flat(left), flat(right))).toBeGreaterThan(0.3)
  })

  function centred(list: Point[]): Float64Array {
    const mean = [0, 1, 2].map((axis) => list.reduce((sum, p) => sum + p[axis]!, 0) / list.length)
    return Float64Array.from(list.flatMap((p) => p.map((value, axis) => value - mean[axis]!)))
  }
})
