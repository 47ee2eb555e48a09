import { type ChildProcess, spawn } from 'node:child_process'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { execPath } from 'node:process'
import { fileURLToPath } from 'node:url'
import type { EngineTarget } from '../connect/engine-target.ts'
import { NOTHING_LEFT, type ReaperOrder } from './reaper-order.ts'

const FROM_SOURCE = import.meta.url.endsWith('.ts')
/** Beside this file in the sources; below the bundle's directory in the package. */
const PROGRAM = fileURLToPath(
  new URL(FROM_SOURCE ? './reaper-program.ts' : './reaper/reaper-program.js', import.meta.url),
)
/** It waits for one event: a small heap and no helpers are enough. */
const SMALL = ['--max-old-space-size=48', '--max-semi-space-size=1', '--v8-pool-size=1']

export interface ReaperOptions {
  hostInstance: string
  stateDir: string
  generation: string
  afterMs: number
}

/**
 * A process of its own that outlives this one, whatever kills it: it removes what is left of this host
 * instance when no process of the host has come back after `afterMs`.
 */
export class Reaper {
  readonly #options: ReaperOptions
  #child: ChildProcess | undefined

  constructor(options: ReaperOptions) {
    this.#options = options
  }

  /** Starts it for this engine, unless it runs. */
  ensure(target: EngineTarget): void {
    const running = this.#child?.exitCode === null && this.#child.signalCode === null
    if (running) return
    const order: ReaperOrder = { v: 1, target, ...this.#options }
    const flags = FROM_SOURCE ? [...SMALL, '--conditions=@manyhands/source'] : SMALL
    // The instance is for people who look at the list of processes.
    const child = spawn(execPath, [...flags, PROGRAM, order.hostInstance], {
      // A session of its own: what is sent to the host's group or terminal does not reach it.
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
      cwd: tmpdir(),
      env: { ELECTRON_RUN_AS_NODE: '1' },
      windowsHide: true,
    })
    // One that cannot be started is tried again with the next container.
    child.on('error', () => {
      if (this.#child === child) this.#child = undefined
    })
    child.stdin.on('error', () => {})
    child.stdin.write(`${JSON.stringify(order)}\n`)
    child.unref()
    ;(child.stdin as unknown as Socket).unref()
    this.#child = child
  }

  /** For a host that closes. What it leaves, to be taken up by the next one, is waited for. */
  release({ nothingLeft }: { nothingLeft: boolean }): void {
    this.#child?.stdin?.end(nothingLeft ? `${NOTHING_LEFT}\n` : '')
    this.#child = undefined
  }
}
