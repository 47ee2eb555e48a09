import { LIMITS } from '../../limits.ts'

/** Pieces of a frame before it can be called slow: a line that falters once is no attack. */
const PIECES = 4

/**
 * Notices a frame that comes a few bytes at a time. Only what comes is looked at: a peer whose line is
 * dead sends nothing at all, and is no attacker.
 */
export class FramePace {
  readonly #now: () => number
  #since = 0
  #pieces = 0
  #bytes = 0

  constructor(now: () => number = () => performance.now()) {
    this.#now = now
  }

  /** A chunk came; whether a frame is unfinished after it. True: too slow. */
  slow(bytes: number, inFrame: boolean): boolean {
    if (!inFrame) {
      this.#pieces = 0
      return false
    }
    if (this.#pieces === 0) {
      this.#since = this.#now()
      this.#bytes = 0
    }
    this.#pieces += 1
    this.#bytes += bytes
    if (this.#pieces < PIECES) return false
    const ms = this.#now() - this.#since
    return ms >= LIMITS.slowFrameMs && this.#bytes < (ms / 1000) * LIMITS.frameBytesPerSecond
  }
}
