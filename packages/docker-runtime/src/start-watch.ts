import { ManyhandsError, type RuntimeExit } from '@manyhands/core'

/**
 * The container's first process is the engine's init, which starts the task's program: a program that
 * cannot be started is told by init on stderr, with 126 or 127 (Docker's) or 1 (Podman's), after the
 * engine has said "started".
 */
const INIT_FAILED = [
  /^\[FATAL tini \(\d+\)\] exec (.*)/m,
  /^ERROR \(catatonit:\d+\): failed to exec pid1: (.*)/m,
]
/** Init fails within milliseconds. A task that is silent for longer is taken as started. */
const WATCH_MS = 200
const KEPT_BYTES = 4096

/** Looks at the first moments of a container for a command that could not be started. */
export class StartWatch {
  readonly #first = Promise.withResolvers<void>()
  #stderr = ''

  /** To be told what the container writes. */
  see(stream: 'stdout' | 'stderr', bytes: Uint8Array): void {
    if (stream === 'stderr' && this.#stderr.length < KEPT_BYTES) {
      this.#stderr += Buffer.from(bytes.subarray(0, KEPT_BYTES)).toString('latin1')
    }
    // Init writes one line; anything else shows that the program runs.
    if (stream === 'stdout' || this.#stderr.includes('\n')) this.#first.resolve()
  }

  /** @throws COMMAND_INVALID when init could not start the program */
  async check(exit: Promise<RuntimeExit>): Promise<void> {
    const timer = setTimeout(this.#first.resolve, WATCH_MS)
    timer.unref()
    const early = await Promise.race([exit, this.#first.promise])
    // The end may overtake the words on their way here.
    if (early !== undefined && isExecFailure(early)) await this.#first.promise
    clearTimeout(timer)
    const said = this.#said()
    if (said === undefined || !isExecFailure(early ?? (await exit))) return
    throw new ManyhandsError('COMMAND_INVALID', `the command cannot be started: ${said}`)
  }

  #said(): string | undefined {
    for (const pattern of INIT_FAILED) {
      const match = pattern.exec(this.#stderr)
      if (match !== null) return match[1]
    }
    return undefined
  }
}

function isExecFailure(exit: RuntimeExit): boolean {
  return [1, 126, 127].includes(exit.exitCode ?? 0)
}
