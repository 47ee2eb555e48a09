import { styleText } from 'node:util'

export type OutputFormat = 'text' | 'json' | 'jsonl'

/**
 * Where a command writes. Data goes to stdout, text for people to stderr; a caller asks for one
 * document (`--json`) or a stream of events (`--jsonl`), and what belongs to the other forms is
 * dropped, so that a command can say everything and its caller reads what was asked for.
 */
export interface Output {
  readonly format: OutputFormat
  /** One line of a stream; only with `--jsonl`. */
  event(event: string, fields: object): void
  /** The one document; only with `--json`. */
  document(value: unknown): void
  /** Data for people, as text; only without a JSON option. */
  data(text: string): void
  /** For people, whatever the format. */
  say(text: string): void
  /** A part of a terminal that is drawn anew each time; ignored where there is no terminal. */
  draw(text: string): void
  /** Whether people watch on a terminal. */
  readonly live: boolean
  /** Whether that is all that reads: nothing waits for data at the end of a pipe. */
  readonly watched: boolean
  readonly columns: number
  readonly rows: number
  style(format: Parameters<typeof styleText>[0], text: string): string
}

interface OutputStreams {
  stdout: Pick<NodeJS.WriteStream, 'write' | 'isTTY'>
  stderr: Pick<NodeJS.WriteStream, 'write' | 'isTTY' | 'columns' | 'rows'>
  env: NodeJS.ProcessEnv
}

export function createOutput(streams: OutputStreams, format: OutputFormat): Output {
  const { stdout, stderr, env } = streams
  const live = stderr.isTTY === true && env['TERM'] !== 'dumb'
  const colors = live && (env['NO_COLOR'] ?? '') === ''
  let drawn = 0
  const erase = () => {
    // Up to the first drawn line, then clear to the end of the screen.
    if (drawn > 0) stderr.write(`\r${drawn > 1 ? `\x1b[${drawn - 1}A` : ''}\x1b[J`)
    drawn = 0
  }
  const toStdout = (text: string) => {
    erase()
    stdout.write(text)
  }
  return {
    format,
    live,
    watched: live && stdout.isTTY === true,
    get columns() {
      // 0 on terminals that do not know their size.
      return stderr.columns || 80
    },
    get rows() {
      return stderr.rows || 24
    },
    event(event, fields) {
      if (format === 'jsonl') toStdout(`${eventLine(event, fields)}\n`)
    },
    document(value) {
      if (format === 'json') toStdout(`${JSON.stringify(value, undefined, 2)}\n`)
    },
    data(text) {
      if (format === 'text' && text !== '') toStdout(text.endsWith('\n') ? text : `${text}\n`)
    },
    say(text) {
      erase()
      stderr.write(`${text}\n`)
    },
    draw(text) {
      if (!live) return
      erase()
      if (text === '') return
      // Without wrapping: a line that is too long must not become two that nobody erases.
      stderr.write(`\x1b[?7l${text}\x1b[?7h`)
      drawn = text.split('\n').length
    },
    style: (style, text) => (colors ? styleText(style, text, { validateStream: false }) : text),
  }
}

/** One event as scripts read it: every line carries version and time. */
export function eventLine(event: string, fields: object): string {
  return JSON.stringify({ v: 1, time: new Date().toISOString(), event, ...fields })
}

/** The format that arguments ask for, known before they are parsed: an error in them needs it too. */
export function formatOf(argv: string[]): OutputFormat {
  const end = argv.indexOf('--')
  const own = end === -1 ? argv : argv.slice(0, end)
  if (own.includes('--jsonl')) return 'jsonl'
  return own.includes('--json') ? 'json' : 'text'
}
