import { clean } from './table.ts'

/** A column of a table that has to fit a terminal. */
export interface FittedColumn<Row> {
  title: string
  /** Of two columns that do not both fit, the one that is worth more stays. */
  worth: number
  right?: boolean
  cell(row: Row): string
}

const GAP = 2
/** What the last column keeps before others have to go. */
const LAST = 12

/**
 * Text in columns that is never wider than the terminal: what is worth least is left out first, and the
 * last column is cut. Header first.
 */
export function fittedTable<Row>(
  columns: FittedColumn<Row>[],
  rows: Row[],
  width: number,
): string[] {
  const filled = columns.map((column) => {
    const texts = rows.map((row) => clean(column.cell(row)))
    return { ...column, texts, width: Math.max(column.title.length, ...texts.map(lengthOf)) }
  })
  const byWorth = [...filled].sort((a, b) => a.worth - b.worth)
  const taken = () => filled.reduce((sum, column) => sum + column.width + GAP, -GAP)
  while (taken() > width && filled.length > 1) {
    const least = byWorth.shift()!
    // The last one is cut instead: it is the one whose length nobody knows.
    const last = filled.at(-1)!
    const readable = Math.min(last.width, LAST)
    if (least === last || taken() - last.width + readable <= width) break
    filled.splice(filled.indexOf(least), 1)
  }
  const line = (cells: string[]) => {
    const padded = cells.map((cell, index) => {
      const column = filled[index]!
      const room = ' '.repeat(Math.max(0, column.width - lengthOf(cell)))
      return column.right === true ? room + cell : cell + room
    })
    return cut(padded.join(' '.repeat(GAP)).trimEnd(), width)
  }
  return [
    line(filled.map((column) => column.title)),
    ...rows.map((_, index) => line(filled.map((column) => column.texts[index]!))),
  ]
}

/** At most so many characters, with a mark where something is missing. */
export function cut(text: string, width: number): string {
  const characters = [...text]
  return characters.length <= width
    ? text
    : `${characters.slice(0, Math.max(0, width - 1)).join('')}…`
}

const lengthOf = (text: string) => [...text].length
