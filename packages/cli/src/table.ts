/** Text in columns. Numbers are aligned to the right; the last column is not padded. */
export function formatTable(header: string[], rows: (string | number)[][]): string {
  const texts = rows.map((row) => row.map((cell) => clean(String(cell))))
  const widths = header.map((title, column) =>
    Math.max(title.length, ...texts.map((row) => row[column]?.length ?? 0)),
  )
  const line = (cells: string[], right: (column: number) => boolean) =>
    cells
      .map((cell, column) => {
        if (right(column)) return cell.padStart(widths[column]!)
        return column === cells.length - 1 ? cell : cell.padEnd(widths[column]!)
      })
      .join('  ')
      .trimEnd()
  const numeric = header.map((_, column) =>
    rows.length > 0 ? rows.every((row) => typeof row[column] === 'number') : false,
  )
  return [header, ...texts].map((row) => line(row, (column) => numeric[column]!)).join('\n')
}

/** What peers named themselves must not move the cursor of the owner's terminal. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/g
export const clean = (text: string) => text.replace(CONTROL, '\u00b7')

/** A peer id that people can still tell apart. */
export const shortPeer = (peer: string) => (peer.length > 12 ? `…${peer.slice(-8)}` : peer)
