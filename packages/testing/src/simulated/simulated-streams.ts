import { type FrameStream, ManyhandsError, PROTOCOLS } from '@manyhands/core'
import type { PeerParts } from './peer-parts.ts'
import { filesQuiet } from './real-work.ts'
import type { ConnectionEnd, SimulatedConnection } from './simulated-connection.ts'
import { SimulatedStream } from './simulated-stream.ts'

type StreamHandler = (stream: FrameStream, context: { peer: string }) => Promise<void>

/** Bytes that open a stream, about. */
const OPENING_BYTES = 32
/** How long a peer may take to answer that files may come, ms. */
const ANSWER_MS = 10_000

/** Whoever streams can be opened to. */
interface Streamed extends ConnectionEnd {
  readonly streams: SimulatedStreams
}

/** The streams of one simulated peer. */
export class SimulatedStreams {
  readonly #parts: PeerParts
  readonly #handlers = new Map<string, StreamHandler>()
  /** Streams beside the clock that are open, by connection. */
  readonly #aside = new Map<SimulatedConnection, number>()

  constructor(parts: PeerParts) {
    this.#parts = parts
  }

  handle(protocol: string, handler: StreamHandler): void {
    this.#handlers.set(protocol, handler)
  }

  async openTo(
    peer: string,
    protocol: string,
    { signal }: { signal?: AbortSignal } = {},
  ): Promise<FrameStream> {
    const { end, wire, connection: to, untilCut } = this.#parts
    const connection = await to(peer)
    signal?.throwIfAborted()
    if (protocol === PROTOCOLS.artifacts) return this.#openAside(connection, protocol)
    const twice = protocol === PROTOCOLS.events ? wire.duplicates : 0
    const copies = () => (wire.random.chance(twice) ? 2 : 1)
    const [near, far] = SimulatedStream.pair(connection, end, copies)
    untilCut(connection, (error) => near.fail(error))
    const other = connection.other(end) as Streamed
    connection.send(end, OPENING_BYTES, () => other.streams.#serve(connection, far, protocol))
    return near
  }

  /**
   * For files, which threads and timers of this computer bring: once the other side is known to be there, they
   * come beside the clock, which stands still until they have.
   */
  async #openAside(connection: SimulatedConnection, protocol: string): Promise<FrameStream> {
    const { end, wire, untilCut } = this.#parts
    const other = connection.other(end) as Streamed
    // What holds the time must not wait for it: a second one beside the first is there at once.
    const alone = !this.#aside.has(connection)
    if (alone) await this.#answered(connection)
    const turn = alone ? await wire.files.turn() : undefined
    const [near, far] = SimulatedStream.pair(aside(connection), end)
    untilCut(connection, (error) => near.fail(error))
    this.#aside.set(connection, (this.#aside.get(connection) ?? 0) + 1)
    const over = near.over.then(filesQuiet).then(() => {
      const left = this.#aside.get(connection)! - 1
      if (left > 0) this.#aside.set(connection, left)
      else this.#aside.delete(connection)
      turn?.()
    })
    void wire.clock.still(over)
    other.streams.#serve(connection, far, protocol)
    return near
  }

  /** There and back. */
  async #answered(connection: SimulatedConnection): Promise<void> {
    const { end, clock, untilCut } = this.#parts
    const other = connection.other(end)
    const there = Promise.withResolvers<void>()
    const forget = untilCut(connection, there.reject)
    const stopWaiting = clock.after(ANSWER_MS, () => {
      const what = `${other.peerId} does not answer within ${ANSWER_MS} ms`
      there.reject(new ManyhandsError('TIMEOUT', what))
    })
    connection.send(end, OPENING_BYTES, () => {
      connection.send(other, OPENING_BYTES, there.resolve)
    })
    try {
      await there.promise
    } finally {
      stopWaiting()
      forget()
    }
  }

  #serve(connection: SimulatedConnection, stream: SimulatedStream, protocol: string): void {
    const handler = this.#handlers.get(protocol)
    if (handler === undefined) {
      stream.abort()
      return
    }
    const forget = this.#parts.untilCut(connection, (error) => stream.fail(error))
    void handler(stream, { peer: stream.peer })
      .then(() => stream.close())
      .catch((cause) => stream.abort(cause))
      .finally(forget)
  }
}

/** The same connection, on which nothing takes any time. */
function aside(connection: SimulatedConnection) {
  return {
    get open() {
      return connection.open
    },
    other: (end: ConnectionEnd) => connection.other(end),
    send: (_: ConnectionEnd, __: number, arrive: () => void) => {
      setImmediate(arrive)
    },
  }
}
