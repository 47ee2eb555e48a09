import type { Trajectory } from './trajectory.ts'

const SIZE = { width: 720, height: 400, left: 60, right: 20, top: 20, bottom: 50 }
const COLOURS = ['#1b6ca8', '#d1495b', '#3a7d44', '#8d6a9f', '#c98b2b', '#4f5d75']
const MOST_NM = 1.4

/** Where a replica was taken up at another host. */
export interface TakenUp {
  replica: number
  ps: number
}

/** Radius of gyration against time, a line for each replica, with a mark where one was taken up. */
export function radiusPlot(replicas: Trajectory[], untilPs: number, taken: TakenUp[]): string {
  const { width, height, left, right, top, bottom } = SIZE
  const x = (ps: number) => left + (ps / untilPs) * (width - left - right)
  const y = (nm: number) => height - bottom - (nm / MOST_NM) * (height - top - bottom)
  const at = (value: number) => value.toFixed(1)
  const grid = [0, 0.2, 0.4, 0.6, 0.8, 1, 1.2, 1.4].map(
    (nm) =>
      `<line x1="${left}" x2="${width - right}" y1="${at(y(nm))}" y2="${at(y(nm))}" stroke="#ddd"/>` +
      `<text x="${left - 8}" y="${at(y(nm) + 4)}" text-anchor="end">${nm.toFixed(1)}</text>`,
  )
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((part) => {
    const ps = Math.round(part * untilPs)
    return `<text x="${at(x(ps))}" y="${height - bottom + 20}" text-anchor="middle">${ps}</text>`
  })
  const lines = replicas.map(({ radius }, index) => {
    const points = radius.map(({ ps, nm }) => `${at(x(ps))},${at(y(nm))}`).join(' ')
    return `<polyline points="${points}" fill="none" stroke="${COLOURS[index % COLOURS.length]}"/>`
  })
  const marks = taken.flatMap(({ replica, ps }) => {
    const nm = replicas[replica - 1]?.radius[Math.floor(ps)]?.nm
    if (nm === undefined) return []
    const colour = COLOURS[(replica - 1) % COLOURS.length]
    return [
      `<circle cx="${at(x(ps))}" cy="${at(y(nm))}" r="6" fill="#fff" stroke="${colour}" stroke-width="2"/>`,
    ]
  })
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12">`,
    '<title>Radius of gyration against time, a line for each replica</title>',
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    ...grid,
    ...ticks,
    ...lines,
    ...marks,
    `<text x="${width / 2}" y="${height - 10}" text-anchor="middle">time, ps (rings: taken up at another host)</text>`,
    `<text transform="translate(16 ${height / 2}) rotate(-90)" text-anchor="middle">radius of gyration, nm</text>`,
    '</svg>',
    '',
  ].join('\n')
}

/** The same as a table for people and programs: a column for each replica. */
export function radiusTable(replicas: Trajectory[], everyPs: number): string {
  const head = ['ps', ...replicas.map((_, index) => `replica ${index + 1}, nm`)].join(',')
  const longest = Math.max(0, ...replicas.map(({ radius }) => radius.length))
  const rows: string[] = []
  for (let ps = 0; ps < longest; ps += everyPs) {
    rows.push([ps, ...replicas.map(({ radius }) => radius[ps]?.nm.toFixed(3) ?? '')].join(','))
  }
  return [head, ...rows, ''].join('\n')
}
