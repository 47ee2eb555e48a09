import { type FrameStream, LIMITS, ManyhandsError, type Network } from '@manyhands/core'

type Handler = (stream: FrameStream, context: { peer: string }) => Promise<void>

/** One end of a stream pair in memory: frames whole, in order, with back-pressure by credits. */
class MemoryStream implements FrameStream {
  readonly peer: string
  other!: MemoryStream
  #queue: Uint8Array[] = []
  #queued = 0
  #ended = false
  #failure: unknown
  #wakers: (() => void)[] = []

  constructor(peer: string) {
    this.peer = peer
  }

  async send(frame: Uint8Array): Promise<void> {
    const { other } = this
    if (frame.length > LIMITS.streamFrameBytes) {
      throw new ManyhandsError('FRAME_TOO_LARGE', 'too large')
    }
    while (other.#queued + frame.length > LIMITS.streamCreditBytes && !this.#failure) {
      await other.#wait()
    }
    if (this.#failure) throw this.#failure
    other.#queue.push(frame.slice())
    other.#queued += frame.length
    other.#wake()
  }

  async next(): Promise<Uint8Array | undefined> {
    for (;;) {
      if (this.#failure) throw this.#failure
      const frame = this.#queue.shift()
      if (frame !== undefined) {
        this.#queued -= frame.length
        this.#wake()
        return frame
      }
      if (this.#ended) return undefined
      await this.#wait()
    }
  }

  async close(): Promise<void> {
    this.other.#ended = true
    this.other.#wake()
  }

  abort(reason?: unknown): void {
    this.#failure ??= reason ?? new ManyhandsError('CANCELED', 'aborted')
    this.other.#failure ??= new ManyhandsError('PEER_GONE', 'cut by the other side')
    this.#wake()
    this.other.#wake()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    for (let frame = await this.next(); frame !== undefined; frame = await this.next()) yield frame
  }

  #wait(): Promise<void> {
    return new Promise((resolve) => this.#wakers.push(resolve))
  }

  #wake(): void {
    for (const waker of this.#wakers.splice(0)) waker()
  }
}

export function streamPair(near = 'a', far = 'b'): [FrameStream, FrameStream] {
  const a = new MemoryStream(far)
  const b = new MemoryStream(near)
  a.other = b
  b.other = a
  return [a, b]
}

export interface MemoryNetwork extends Network {
  /** Streams that were opened to it. */
  readonly opened: FrameStream[]
  /** Frames that its handler got, in order. */
  readonly requests: Uint8Array[]
}

/** A network of which only streams work: everyone who opens one reaches the handler of its protocol, or the one given. */
export function memoryNetwork(handler?: Handler): MemoryNetwork {
  const opened: FrameStream[] = []
  const requests: Uint8Array[] = []
  const handlers = new Map<string, Handler>()
  const network = {
    peerId: 'receiver',
    opened,
    requests,
    openStream: async (peer: string, protocol: string) => {
      const handle = handler ?? handlers.get(protocol)
      if (handle === undefined) throw new ManyhandsError('PROTOCOL', 'nobody answers')
      const [near, far] = streamPair('receiver', peer)
      opened.push(near)
      const next = far.next.bind(far)
      far.next = async () => {
        const frame = await next()
        if (frame !== undefined) requests.push(frame)
        return frame
      }
      handle(far, { peer: 'receiver' }).catch((error) => far.abort(error))
      return near
    },
    handleStream: async (protocol: string, given: Handler) => {
      handlers.set(protocol, given)
    },
  }
  return network as unknown as MemoryNetwork
}
