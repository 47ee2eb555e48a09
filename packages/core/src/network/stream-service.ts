import { ManyhandsError } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import type { Manners } from './manners/manners.ts'
import type { FrameStream, Logger } from './network.ts'

export type StreamHandler = (stream: FrameStream, context: { peer: string }) => Promise<void>

/** A stream that a peer has opened, not yet looked at. */
export interface Opened {
  peer: string
  protocol: string
  /** Begins to read it. */
  frames(): FrameStream
  refuse(error: Error): void
  /** Calls back when it has closed. */
  onClose(closed: () => void): void
}

/** Answers the streams that peers open, so many of a protocol per peer, over whatever they come. */
export class StreamService {
  readonly #handlers = new Map<string, StreamHandler>()
  /** Streams that a peer has open to us, by `peer protocol`. */
  readonly #open = new Map<string, number>()
  readonly #logger: Logger | undefined
  readonly #fault: (peer: string, protocol: string) => Error | undefined

  readonly #manners: Manners | undefined

  /** @param fault - why a peer may not open streams of a protocol; undefined when it may */
  constructor(
    logger: Logger | undefined,
    manners?: Manners,
    fault: (peer: string, protocol: string) => Error | undefined = () => undefined,
  ) {
    this.#logger = logger
    this.#manners = manners
    this.#fault = fault
  }

  handle(protocol: string, handler: StreamHandler): void {
    this.#handlers.set(protocol, handler)
  }

  handles(protocol: string): boolean {
    return this.#handlers.has(protocol)
  }

  async serve(opened: Opened): Promise<void> {
    const { peer, protocol } = opened
    const fault = this.#fault(peer, protocol)
    if (fault !== undefined) return opened.refuse(fault)
    const handler = this.#handlers.get(protocol)
    const key = `${peer} ${protocol}`
    const open = this.#open.get(key) ?? 0
    if (handler === undefined || open >= LIMITS.streamsPerPeer) {
      opened.refuse(new ManyhandsError('LIMIT', `too many ${protocol} streams of ${peer}`))
      this.#manners?.offend(peer, 'crowd')
      return
    }
    this.#open.set(key, open + 1)
    opened.onClose(() => {
      const left = (this.#open.get(key) ?? 1) - 1
      if (left === 0) this.#open.delete(key)
      else this.#open.set(key, left)
    })
    const frames = opened.frames()
    try {
      await handler(frames, { peer })
      await frames.close()
      await dropRest(frames)
    } catch (error) {
      this.#logger?.debug('a stream handler failed', { protocol, peer, error })
      frames.abort(error)
    }
  }
}

/** Waits for the peer's end when nobody reads any more, but not for long. */
async function dropRest(frames: FrameStream): Promise<void> {
  const timer = setTimeout(() => {
    frames.abort(new ManyhandsError('TIMEOUT', `peer ${frames.peer} does not end its stream`))
  }, LIMITS.streamHeaderMs).unref()
  try {
    for await (const _ of frames);
  } finally {
    clearTimeout(timer)
  }
}
