import { TRANSFER } from '../artifacts/transfer-limits.ts'
import { ManyhandsError } from '../errors.ts'
import type { FrameStream } from '../network/network.ts'

/**
 * A stream on which no wait is endless: each ends with the stream, with {@link fail} (a signal, a
 * failed write), or when less than `progressBytes` moved in the time allowed. Time that this side
 * spends elsewhere does not count. One send or receive at a time.
 */
export class GuardedStream {
  readonly #stream: FrameStream
  #failure: { reason: unknown } | undefined
  #reject: ((reason: unknown) => void) | undefined
  #allowedMs: number
  #leftMs: number
  #moved = 0

  constructor(stream: FrameStream, allowedMs: number) {
    this.#stream = stream
    this.#allowedMs = allowedMs
    this.#leftMs = allowedMs
  }

  /** Starts a new wait, with another limit. */
  allow(allowedMs: number): void {
    this.#allowedMs = allowedMs
    this.#leftMs = allowedMs
    this.#moved = 0
  }

  async send(frame: Uint8Array): Promise<void> {
    await this.#wait(() => this.#stream.send(frame))
    this.#progress(frame.length)
  }

  async next(): Promise<Uint8Array | undefined> {
    const frame = await this.#wait(() => this.#stream.next())
    this.#progress(frame?.length ?? 0)
    return frame
  }

  /** Gives the memory of a frame back that nobody looks at any more. */
  recycle(frame: Uint8Array): void {
    this.#stream.recycle?.(frame)
  }

  /** The next frame. @throws PEER_GONE when the peer ended instead */
  async expect(): Promise<Uint8Array> {
    const frame = await this.next()
    if (frame !== undefined) return frame
    throw new ManyhandsError('PEER_GONE', `${this.#stream.peer} ended the transfer half-way`)
  }

  async close(): Promise<void> {
    await this.#wait(() => this.#stream.close())
  }

  /** After {@link close}: waits briefly for the peer's end too, and cuts the stream without one. */
  async finish(): Promise<void> {
    this.allow(1000)
    try {
      if ((await this.next()) === undefined) return
    } catch {}
    this.fail(new ManyhandsError('PROTOCOL', `${this.#stream.peer} did not end the transfer`))
  }

  /** Ends the stream and every wait on it, now and later, with a reason. */
  fail(reason: unknown): void {
    if (this.#failure !== undefined) return
    this.#failure = { reason }
    this.#stream.abort(reason)
    this.#reject?.(reason)
  }

  get failure(): { reason: unknown } | undefined {
    return this.#failure
  }

  #progress(bytes: number): void {
    this.#moved += bytes
    if (this.#moved >= TRANSFER.progressBytes) this.allow(this.#allowedMs)
  }

  #wait<Value>(begin: () => Promise<Value>): Promise<Value> {
    return new Promise<Value>((resolve, reject) => {
      if (this.#failure !== undefined) {
        reject(this.#failure.reason)
        return
      }
      const started = performance.now()
      const timer = setTimeout(() => {
        const seconds = Math.round(this.#allowedMs / 1000)
        this.fail(
          new ManyhandsError(
            'TIMEOUT',
            `${this.#stream.peer} let a transfer stall for ${seconds} s`,
          ),
        )
      }, this.#leftMs)
      timer.unref()
      const settle = () => {
        clearTimeout(timer)
        this.#reject = undefined
        this.#leftMs = Math.max(0, this.#leftMs - (performance.now() - started))
      }
      this.#reject = (reason) => {
        settle()
        reject(reason)
      }
      begin().then(
        (value) => {
          settle()
          resolve(value)
        },
        (error) => {
          settle()
          reject(this.#failure === undefined ? error : this.#failure.reason)
        },
      )
    })
  }
}
