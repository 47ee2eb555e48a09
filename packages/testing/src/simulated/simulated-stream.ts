import { type FrameStream, LIMITS, ManyhandsError } from '@manyhands/core'
import type { ConnectionEnd } from './simulated-connection.ts'

/** What brings frames from one side to the other, in order. */
export interface FrameCarrier {
  readonly open: boolean
  other(end: ConnectionEnd): ConnectionEnd
  send(from: ConnectionEnd, bytes: number, arrive: () => void): void
}

/** One side of a stream of frames between two simulated peers. */
export class SimulatedStream implements FrameStream {
  readonly #carrier: FrameCarrier
  readonly #end: ConnectionEnd
  readonly #copies: () => number
  readonly #frames: Uint8Array[] = []
  #other!: SimulatedStream
  #wake: (() => void) | undefined
  #room: (() => void)[] = []
  /** Bytes that the other side has not read. */
  #unread = 0
  #ended = false
  #closed = false
  #error: unknown
  readonly #over = Promise.withResolvers<void>()

  /**
   * Both sides, the first one for `end`.
   *
   * @param copies - how often a frame of this stream arrives
   */
  static pair(
    carrier: FrameCarrier,
    end: ConnectionEnd,
    copies: () => number = () => 1,
  ): [SimulatedStream, SimulatedStream] {
    const near = new SimulatedStream(carrier, end, copies)
    const far = new SimulatedStream(carrier, carrier.other(end), copies)
    near.#other = far
    far.#other = near
    return [near, far]
  }

  private constructor(carrier: FrameCarrier, end: ConnectionEnd, copies: () => number) {
    this.#carrier = carrier
    this.#end = end
    this.#copies = copies
  }

  /** Resolves when nothing more is sent from here. */
  get over(): Promise<void> {
    return this.#over.promise
  }

  get peer(): string {
    return this.#carrier.other(this.#end).peerId
  }

  async send(frame: Uint8Array): Promise<void> {
    if (frame.length > LIMITS.streamFrameBytes) {
      throw new ManyhandsError('FRAME_TOO_LARGE', `a frame of ${frame.length} bytes`)
    }
    if (this.#error !== undefined) throw this.#error
    if (this.#closed || !this.#carrier.open) throw this.#gone()
    for (let copy = this.#copies(); copy > 0; copy -= 1) {
      this.#unread += frame.length
      this.#carrier.send(this.#end, frame.length, () => this.#other.#arrived(frame))
    }
    while (this.#unread > LIMITS.streamCreditBytes && this.#error === undefined) {
      await new Promise<void>((resolve) => this.#room.push(resolve))
    }
  }

  async next(): Promise<Uint8Array | undefined> {
    for (;;) {
      const frame = this.#frames.shift()
      if (frame !== undefined) {
        this.#other.#read(frame.length)
        return frame
      }
      if (this.#error !== undefined) throw this.#error
      if (this.#ended) return undefined
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    for (;;) {
      const frame = await this.next()
      if (frame === undefined) return
      yield frame
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#over.resolve()
    this.#carrier.send(this.#end, 0, () => {
      this.#other.#ended = true
      this.#other.#wake?.()
    })
  }

  abort(reason?: unknown): void {
    if (this.#error !== undefined) return
    this.#carrier.send(this.#end, 0, () => this.#other.fail(this.#other.#gone()))
    this.fail(reason ?? this.#gone())
  }

  /** Over, and nobody is told: the other side knows, or cannot be reached. */
  fail(reason: unknown): void {
    this.#error ??= reason
    this.#closed = true
    this.#over.resolve()
    this.#frames.length = 0
    this.#wake?.()
    this.#read(this.#unread)
  }

  #arrived(frame: Uint8Array): void {
    if (this.#error !== undefined || this.#ended) return
    this.#frames.push(frame)
    this.#wake?.()
  }

  #read(bytes: number): void {
    this.#unread -= bytes
    const room = this.#room
    this.#room = []
    for (const resolve of room) resolve()
  }

  #gone(): ManyhandsError {
    return new ManyhandsError('PEER_GONE', `the stream to ${this.peer} was cut`)
  }
}
