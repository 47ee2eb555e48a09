import type { Work } from '@manyhands/core'
import { Unreadable } from '../unreadable.ts'
import type { TextLines } from './text-lines.ts'

/** A table over time: the first column is what the others are plotted against. */
export interface Series {
  rows: number
  /** First and last value of the first column. */
  from: number
  to: number
  /** Mean of each other column. */
  means: number[]
}

const LINES_PER_TURN = 512
const MAX_COLUMNS = 1024

/** Data of an .xvg file; lines that begin with # or @ say how to draw it. @throws Unreadable */
export function* readXvg(lines: TextLines): Work<Series> {
  let rows = 0
  let from = 0
  let to = 0
  const sums: number[] = []
  for (let line = lines.next(); line !== undefined; line = lines.next()) {
    if (/^\s*([#@&]|$)/.test(line)) continue
    const values = line
      .trim()
      .split(/\s+/, MAX_COLUMNS + 1)
      .map(Number)
    if (values.length > MAX_COLUMNS || !values.every(Number.isFinite)) {
      throw new Unreadable('a line is not one of numbers')
    }
    if (rows > 0 && values.length !== sums.length + 1) throw new Unreadable('a line is cut')
    to = values[0]!
    if (rows === 0) from = to
    for (let column = 1; column < values.length; column += 1) {
      sums[column - 1] = (sums[column - 1] ?? 0) + values[column]!
    }
    rows += 1
    if (rows % LINES_PER_TURN === 0) yield
  }
  if (sums.length === 0) throw new Unreadable('it has no numbers')
  return { rows, from, to, means: sums.map((sum) => sum / rows) }
}
