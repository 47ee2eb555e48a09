import { styleText } from 'node:util'

export interface HostShare {
  name: string
  frames: number
  killed: boolean
}

export interface RenderProgress {
  done: number
  total: number
  hosts: readonly HostShare[]
  framesPerSecond: number
  etaMs: number | undefined
}

/** Shows how far the frames are. */
export interface ProgressView {
  update(progress: RenderProgress): void
  /** A line that stays. */
  note(line: string): void
  /** Leaves the last state on the screen. */
  end(): void
}

const BAR = 26
const COLOURS = ['cyan', 'magenta', 'yellow', 'green', 'blue'] as const

/** A live bar on a terminal, a line every few frames elsewhere. */
export function createProgressView(stream: NodeJS.WriteStream): ProgressView {
  return stream.isTTY ? new LiveView(stream) : new PlainView(stream)
}

const countOf = ({ done, total }: RenderProgress) =>
  `${String(done).padStart(String(total).length)}/${total} frames`

const speedOf = ({ framesPerSecond, etaMs }: RenderProgress) => {
  const eta = etaMs === undefined ? '' : `, ${Math.ceil(etaMs / 1000)} s left`
  return `${framesPerSecond.toFixed(1)} frames/s${eta}`
}

class LiveView implements ProgressView {
  readonly #stream: NodeJS.WriteStream
  #lines: string[] = []

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream
  }

  update(progress: RenderProgress): void {
    const widest = Math.max(...progress.hosts.map((host) => host.name.length))
    this.#draw([
      `${this.#bar(progress)} ${this.#styled('bold', countOf(progress))}  ${speedOf(progress)}`,
      ...progress.hosts.map((host, index) => {
        const name = this.#styled(COLOURS[index % COLOURS.length]!, host.name.padEnd(widest))
        const ending = host.killed ? this.#styled('red', ' killed') : ''
        return `  ${name} ${String(host.frames).padStart(3)} ${'▪'.repeat(host.frames)}${ending}`
      }),
    ])
  }

  note(line: string): void {
    const lines = this.#lines
    this.#erase()
    this.#stream.write(`${line}\n`)
    this.#draw(lines)
  }

  end(): void {
    this.#lines = []
  }

  /** Each host's share of the bar has its colour. */
  #bar({ hosts, total, done }: RenderProgress): string {
    let cells = 0
    let frames = 0
    const parts = hosts.map((host, index) => {
      frames += host.frames
      const end = Math.round((BAR * frames) / total)
      const part = '█'.repeat(end - cells)
      cells = end
      return this.#styled(COLOURS[index % COLOURS.length]!, part)
    })
    const rest = this.#styled('dim', '░'.repeat(BAR - cells))
    return `${parts.join('')}${rest} ${String(Math.floor((100 * done) / total)).padStart(3)} %`
  }

  #styled(style: Parameters<typeof styleText>[0], text: string): string {
    // It looks at NO_COLOR and at what the terminal can do.
    return styleText(style, text, { stream: this.#stream })
  }

  #draw(lines: string[]): void {
    this.#erase()
    const width = this.#stream.columns
    this.#stream.write(lines.map((line) => `${clipped(line, width)}\n`).join(''))
    this.#lines = lines
  }

  #erase(): void {
    if (this.#lines.length > 0) {
      this.#stream.moveCursor(0, -this.#lines.length)
      this.#stream.cursorTo(0)
      this.#stream.clearScreenDown()
    }
    this.#lines = []
  }
}

/** A line that is wider than the terminal would take two, and erasing would miss one. */
function clipped(line: string, columns: number): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: colours begin with ESC
  const plain = line.replace(/\u001b\[\d+m/g, '')
  return plain.length < columns ? line : plain.slice(0, columns - 1)
}

class PlainView implements ProgressView {
  readonly #stream: NodeJS.WriteStream
  #told = 0

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream
  }

  update(progress: RenderProgress): void {
    const { done, total, hosts } = progress
    const step = Math.max(1, Math.ceil(total / 12))
    if (done === this.#told || (done < this.#told + step && done < total)) return
    this.#told = done
    const shares = hosts.map(
      (host) => `${host.name} ${host.frames}${host.killed ? ' (killed)' : ''}`,
    )
    this.note(`${countOf(progress)}  ${shares.join('  ')}  ${speedOf(progress)}`)
  }

  note(line: string): void {
    this.#stream.write(`${line}\n`)
  }

  end(): void {}
}
