import type { Stream } from '@libp2p/interface'
import type { TokenBucket } from '../../artifacts/token-bucket.ts'
import { ManyhandsError } from '../../errors.ts'

export interface CircuitOptions {
  /** What goes through in both directions together; undefined: as much as they like. */
  bytes: number | undefined
  lifeMs: number
  /** Shared by all circuits of a relay. */
  bucket: TokenBucket
  /** Bytes that have come to one end, before they leave at the other. */
  onBytes(bytes: number): void
  onEnd(): void
}

/**
 * Two streams joined end to end. What one side does not read, the other may not send: nothing is
 * kept here but what was under way when it stood still.
 */
export class Circuit {
  readonly #ends: readonly [Stream, Stream]
  readonly #options: CircuitOptions
  readonly #life: NodeJS.Timeout
  #left: number
  #closed = 0
  #over = false

  constructor(ends: readonly [Stream, Stream], options: CircuitOptions) {
    this.#ends = ends
    this.#options = options
    this.#left = options.bytes ?? Number.POSITIVE_INFINITY
    this.#life = setTimeout(() => {
      this.cut(new ManyhandsError('LIMIT', 'this circuit has lasted as long as one may'))
    }, options.lifeMs).unref()
    const [one, other] = ends
    this.#carry(one, other)
    this.#carry(other, one)
  }

  /** Ends both sides at once. */
  cut(reason: Error): void {
    for (const end of this.#ends) if (end.status === 'open') end.abort(reason)
    this.#finish()
  }

  #carry(from: Stream, to: Stream): void {
    let paused = false
    let waiting = false
    const pause = (): void => {
      if (paused || from.readStatus !== 'readable') return
      paused = true
      from.pause()
    }
    const goOn = (): void => {
      if (!paused || waiting || to.writableNeedsDrain) return
      paused = false
      if (from.readStatus === 'paused') from.resume()
    }
    // Never from within the event of a message: the layer below would grant the window all the same.
    const look = (): void => {
      if (this.#over) return
      const waitMs = this.#options.bucket.waitMs(1, performance.now())
      if (waitMs > 0 && !waiting) {
        waiting = true
        setTimeout(() => {
          waiting = false
          goOn()
        }, waitMs).unref()
      }
      if (waiting || to.writableNeedsDrain) pause()
    }
    from.addEventListener('message', ({ data }) => {
      if (this.#over) return
      const bytes = data.byteLength
      this.#options.onBytes(bytes)
      this.#options.bucket.spend(bytes, performance.now())
      this.#left -= bytes
      if (this.#left < 0) {
        this.cut(new ManyhandsError('LIMIT', 'this circuit has carried as much as one may'))
        return
      }
      try {
        to.send(data)
      } catch (error) {
        this.cut(error as Error)
        return
      }
      setImmediate(look)
    })
    to.addEventListener('drain', () => setImmediate(goOn))
    from.addEventListener('remoteCloseWrite', () => {
      to.close().catch((error) => this.cut(error))
    })
    from.addEventListener('close', ({ error }) => {
      this.#closed += 1
      if (error !== undefined) this.cut(error)
      else if (this.#closed === 2) this.#finish()
    })
  }

  #finish(): void {
    if (this.#over) return
    this.#over = true
    clearTimeout(this.#life)
    this.#options.onEnd()
  }
}
