const LEVELS = ' ▁▂▃▄▅▆▇█'

/** The last values, one character each, between nothing and `most`. */
export function sparkline(values: number[], width: number, most: number): string {
  const top = Math.max(most, ...values, Number.MIN_VALUE)
  return values
    .slice(-width)
    .map((value) => LEVELS[value <= 0 ? 1 : Math.max(1, Math.round((value / top) * 8))])
    .join('')
    .padStart(width)
}

/** How much of something is in use. */
export function bar(share: number, width: number): string {
  const filled = Math.round(Math.min(1, Math.max(0, share || 0)) * width)
  return '█'.repeat(filled) + '·'.repeat(width - filled)
}

/**
 * Values over time in a few lines, oldest on the left, scaled to `most`. More values than columns are
 * gathered, the highest of each column counting: a peak must not vanish.
 */
export function chart(
  values: number[],
  options: { width: number; height: number; most: number; label(value: number): string },
): string[] {
  const { height, label } = options
  const top = Math.max(options.most, ...values, Number.MIN_VALUE)
  const labels = [label(top), label(0)]
  const margin = Math.max(...labels.map((text) => text.length))
  const columns = gather(values, Math.max(1, options.width - margin - 2))
  return Array.from({ length: height }, (_, line) => {
    const fromBottom = height - 1 - line
    const cells = columns.map((value) => {
      const eighths = Math.round((value / top) * height * 8) - fromBottom * 8
      return LEVELS[Math.min(8, Math.max(0, eighths))]!
    })
    const text = line === 0 ? labels[0]! : fromBottom === 0 ? labels[1]! : ''
    return `${text.padStart(margin)} │${cells.join('')}`.trimEnd()
  })
}

function gather(values: number[], columns: number): number[] {
  if (values.length <= columns) return values
  return Array.from({ length: columns }, (_, column) => {
    const from = Math.floor((column * values.length) / columns)
    const to = Math.floor(((column + 1) * values.length) / columns)
    return Math.max(...values.slice(from, to))
  })
}
