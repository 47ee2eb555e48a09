/** One metric as a scraper understands it. */
export interface Metric {
  type: string
  help: string
  series: { labels: Record<string, string>; value: number }[]
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*/

/**
 * Reads Prometheus' text format as strictly as its specification: HELP, then TYPE, then all series of
 * a metric together, each once, with escaped labels.
 */
export function readPrometheus(text: string): Map<string, Metric> {
  if (!text.endsWith('\n')) throw new SyntaxError('the last line has no end')
  const metrics = new Map<string, Metric>()
  let current: { name: string; metric: Metric } | undefined
  let help: { name: string; text: string } | undefined
  for (const line of text.slice(0, -1).split('\n')) {
    const comment = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line)
    if (comment?.[1] === 'HELP') {
      help = { name: comment[2]!, text: comment[3]! }
    } else if (comment?.[1] === 'TYPE') {
      const [, , name, type] = comment
      if (help?.name !== name) throw new SyntaxError(`TYPE without HELP: ${line}`)
      if (metrics.has(name!)) throw new SyntaxError(`${name} twice`)
      if (!['gauge', 'counter'].includes(type!)) throw new SyntaxError(line)
      current = { name: name!, metric: { type: type!, help: help!.text, series: [] } }
      metrics.set(name!, current.metric)
    } else {
      const sample = readSample(line)
      if (sample.name !== current?.name) throw new SyntaxError(`out of its metric: ${line}`)
      const key = JSON.stringify(sample.labels)
      if (current.metric.series.some(({ labels }) => JSON.stringify(labels) === key)) {
        throw new SyntaxError(`the same series twice: ${line}`)
      }
      current.metric.series.push({ labels: sample.labels, value: sample.value })
    }
  }
  return metrics
}

function readSample(line: string) {
  const name = NAME.exec(line)?.[0]
  if (name === undefined) throw new SyntaxError(`no name: ${line}`)
  let rest = line.slice(name.length)
  const labels: Record<string, string> = {}
  if (rest.startsWith('{')) {
    rest = rest.slice(1)
    while (!rest.startsWith('}')) {
      const pair = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)",?/.exec(rest)
      if (pair === null) throw new SyntaxError(`labels: ${line}`)
      labels[pair[1]!] = pair[2]!.replace(/\\(.)/g, (_, char) => (char === 'n' ? '\n' : char))
      rest = rest.slice(pair[0].length)
    }
    rest = rest.slice(1)
  }
  if (!/^ (?:[+-]?(?:\d+(?:\.\d+)?(?:e[+-]?\d+)?|Inf)|NaN)$/.test(rest)) {
    throw new SyntaxError(`value: ${line}`)
  }
  return { name, labels, value: Number(rest) }
}
