import { execFile } from 'node:child_process'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { InputDevices } from './input-devices.ts'

/** How long the X server may take to answer, ms. */
const X_TIMEOUT_MS = 2_000
const TERMINAL = /^(tty\d+|ttyS\d+|pts\/\d+)$/

const run = promisify(execFile)

export interface IdleRoots {
  dev: string
  /** Where logind keeps `systemd/sessions`. */
  run: string
  /** Where X servers keep `.X11-unix`. */
  tmp: string
  /** Program that prints the idle time of the X server in milliseconds. */
  xIdleCommand: string
}

/**
 * How long nobody has used this computer: the least of its terminals, its input devices (where they can be
 * read) and the X server (where `xprintidle` is installed). A terminal knows nothing of a desktop, so
 * with a graphical session one of the other two has to answer, or nothing is known.
 */
export class IdleTime implements AsyncDisposable {
  readonly #roots: IdleRoots
  readonly #inputs: InputDevices
  #xInstalled = true

  constructor(roots: IdleRoots) {
    this.#roots = roots
    this.#inputs = new InputDevices(roots.dev)
  }

  async idleMs(): Promise<number | undefined> {
    const [inputs, x] = await Promise.all([this.#inputs.idleMs(), this.#xIdleMs()])
    const desktop = await this.#desktop()
    // What X sees of a Wayland desktop is only what happens in windows of X programs.
    if (inputs === undefined && (desktop === 'wayland' || (desktop === 'x11' && x === undefined))) {
      return undefined
    }
    const known = [inputs, x, await this.#terminalsMs()].filter((ms) => ms !== undefined)
    return known.length === 0 ? undefined : Math.max(0, Math.min(...known))
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#inputs[Symbol.asyncDispose]()
  }

  async #terminalsMs(): Promise<number | undefined> {
    const { dev } = this.#roots
    const pts = await readdir(join(dev, 'pts')).catch(() => [])
    const ttys = await readdir(dev).catch(() => [])
    const names = [...ttys, ...pts.map((name) => `pts/${name}`)]
    const times: number[] = []
    for (const name of names.filter((candidate) => TERMINAL.test(candidate))) {
      const found = await stat(join(dev, name)).catch(() => undefined)
      // The kernel sets it when something is typed, to within eight seconds.
      if (found !== undefined) times.push(Date.now() - found.atimeMs)
    }
    return times.length === 0 ? undefined : Math.min(...times)
  }

  async #xIdleMs(): Promise<number | undefined> {
    if (!this.#xInstalled) return undefined
    try {
      const { stdout } = await run(this.#roots.xIdleCommand, { timeout: X_TIMEOUT_MS })
      return /^\d+\s*$/.test(stdout) ? Number(stdout) : undefined
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') this.#xInstalled = false
      return undefined
    }
  }

  /** The graphical session that a person may sit at. */
  async #desktop(): Promise<'x11' | 'wayland' | undefined> {
    const sessions = join(this.#roots.run, 'systemd/sessions')
    const names = await readdir(sessions).catch(() => undefined)
    const types = new Set<string>()
    for (const name of names ?? []) {
      const text = await readFile(join(sessions, name), 'utf8').catch(() => '')
      const type = /^TYPE=(.*)$/m.exec(text)?.[1]
      if (type !== undefined) types.add(type)
    }
    if (types.has('wayland') || types.has('mir')) return 'wayland'
    if (types.has('x11')) return 'x11'
    if (names !== undefined) return undefined
    const servers = await readdir(join(this.#roots.tmp, '.X11-unix')).catch(() => [])
    return servers.length > 0 ? 'x11' : undefined
  }
}
