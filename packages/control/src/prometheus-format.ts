/** One time series: its labels and the value now. */
export type Series = [labels: Record<string, string>, value: number]

/** Text that peers chose, as a label: bounded, for it is kept for as long as the series. */
const LABEL_CHARS = 128

/** Collects metrics and writes them in Prometheus' text format, each one's series together. */
export class MetricsText {
  readonly #lines: string[] = []

  gauge(name: string, help: string, series: Series[]): void {
    this.#metric('gauge', name, help, series)
  }

  /** A value that only grows, and begins anew when the host's state does. */
  counter(name: string, help: string, series: Series[]): void {
    this.#metric('counter', `${name}_total`, help, series)
  }

  toString(): string {
    return `${this.#lines.join('\n')}\n`
  }

  #metric(type: string, name: string, help: string, series: Series[]): void {
    // A metric without series says nothing; its names alone would only confuse.
    if (series.length === 0) return
    const full = `manyhands_${name}`
    this.#lines.push(`# HELP ${full} ${help}`, `# TYPE ${full} ${type}`)
    for (const [labels, value] of series) {
      this.#lines.push(`${full}${labelText(labels)} ${numberText(value)}`)
    }
  }
}

function labelText(labels: Record<string, string>): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escapeLabel(value)}"`)
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`
}

const escapeLabel = (text: string) =>
  text
    .slice(0, LABEL_CHARS)
    // A pair that the cut split, or that was never one, is no text in UTF-8.
    .toWellFormed()
    .replaceAll('\\', '\\\\')
    .replaceAll('"', '\\"')
    .replaceAll('\n', '\\n')

const numberText = (value: number) =>
  Number.isFinite(value) ? String(value) : value > 0 ? '+Inf' : value < 0 ? '-Inf' : 'NaN'
