/** What the user's Ctrl-C, or a SIGTERM, means to a command. */
export interface Interruption {
  /** Aborted at the first signal: end politely. */
  readonly signal: AbortSignal
  /** What the second signal does; by default the process ends at once with exit code 130. */
  onSecond(listener: () => void): void
  /**
   * SIGHUP reads settings again, as services know it. When it comes because the terminal was closed it is
   * an interruption like the others.
   *
   * @returns ends the listening
   */
  onHangup(listener: () => void): () => void
  /** As if a signal had come. */
  trigger(): void
}

/** A launcher forwards what the terminal already sent to the whole group: such a pair is one signal. */
const PAIR_MS = 150

export function createInterruption(
  process: Pick<NodeJS.Process, 'on' | 'off' | 'exit'>,
  options: { launched: boolean; hasTerminal?: () => boolean },
): Interruption {
  const controller = new AbortController()
  let second = () => process.exit(130)
  let last = Number.NEGATIVE_INFINITY
  const trigger = () => {
    if (!controller.signal.aborted) controller.abort()
    else second()
  }
  const receive = () => {
    const now = performance.now()
    if (options.launched && now - last < PAIR_MS) return
    last = now
    trigger()
  }
  process.on('SIGINT', receive)
  process.on('SIGTERM', receive)
  return {
    signal: controller.signal,
    onSecond(listener) {
      second = listener as () => never
    },
    onHangup(listener) {
      const { hasTerminal = () => false } = options
      const had = hasTerminal()
      const hangup = () => {
        if (had && !hasTerminal()) trigger()
        else listener()
      }
      process.on('SIGHUP', hangup)
      return () => process.off('SIGHUP', hangup)
    },
    trigger,
  }
}

/** The promise's outcome, or a rejection at the signal, whichever comes first. */
export function orInterrupted<Value>(promise: Promise<Value>, signal: AbortSignal): Promise<Value> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(new Interrupted())
    if (signal.aborted) return abort()
    signal.addEventListener('abort', abort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}

/** Thrown by a command that was interrupted and has nothing more to say: exit code 130. */
export class Interrupted {}
