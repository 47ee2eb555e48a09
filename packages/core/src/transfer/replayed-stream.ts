import type { FrameStream, PeerRoute } from '../network/network.ts'

/** A stream of which some frames were read already: they come again. */
export class ReplayedStream implements FrameStream {
  readonly #stream: FrameStream
  readonly #read: Uint8Array[]

  constructor(stream: FrameStream, read: Uint8Array[]) {
    this.#stream = stream
    this.#read = read
  }

  get peer(): string {
    return this.#stream.peer
  }

  get route(): PeerRoute | undefined {
    return this.#stream.route
  }

  send(frame: Uint8Array): Promise<void> {
    return this.#stream.send(frame)
  }

  async next(): Promise<Uint8Array | undefined> {
    return this.#read.shift() ?? this.#stream.next()
  }

  recycle(frame: Uint8Array): void {
    this.#stream.recycle?.(frame)
  }

  close(): Promise<void> {
    return this.#stream.close()
  }

  abort(reason?: unknown): void {
    this.#stream.abort(reason)
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    for (let frame = await this.next(); frame !== undefined; frame = await this.next()) yield frame
  }
}
