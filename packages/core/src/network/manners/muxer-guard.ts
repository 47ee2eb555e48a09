import type { MessageStream, Stream, StreamMuxer, StreamMuxerFactory } from '@libp2p/interface'
import { yamux } from '@libp2p/yamux'
import { ManyhandsError } from '../../errors.ts'
import { LIMITS } from '../../limits.ts'
import { LIBRARY_RATES } from './library-rates.ts'
import type { Manners } from './manners.ts'
import type { Offence } from './offences.ts'
import { TokenBucket } from './token-bucket.ts'

const TYPE = { data: 0, window: 1, ping: 2 } as const
const FLAG = { syn: 1 } as const
/** Pings of one connection: the keep-alive sends two a minute. */
const PINGS = { perSecond: 5, burst: 50 } as const
/** Frames that say nothing, of one connection: an honest muxer sends none. */
const EMPTY_FRAMES = { perSecond: 10, burst: 100 } as const

interface Header {
  type: number
  flag: number
  streamID: number
  length: number
}

interface Frame {
  header: Header
}

type MuxedStream = Stream & { streamId: number; writeBufferLength: number }

/** What of yamux's class is used below; its declared type keeps it private. */
interface Yamux {
  streams: MuxedStream[]
  decoder: {
    buffer: { byteLength: number; subarray(from: number, to: number): Uint8Array }
    readFrame(): unknown
  }
  handleFrame(frame: Frame): void
  incomingStream(id: number): void
  sendFrame(header: Header): unknown
  abort(error: Error): void
}

/** Which guard a muxer has, until it is known whose it is. */
const guards = new WeakMap<object, MuxerGuard>()

/** yamux that counts what a peer does before any of it reaches a protocol. */
export function guardedYamux(
  init: Parameters<typeof yamux>[0],
  manners: Manners,
): () => StreamMuxerFactory {
  return () => {
    const factory = yamux(init)()
    const create = factory.createStreamMuxer.bind(factory)
    factory.createStreamMuxer = (connection) => {
      const muxer = create(connection)
      guards.set(muxer, new MuxerGuard(muxer as unknown as Yamux, connection, manners))
      return muxer
    }
    return factory
  }
}

/** From now on a connection's offences are those of its peer. */
export function guardConnection(connection: object, peer: string): void {
  const { muxer } = connection as { muxer?: StreamMuxer }
  if (muxer !== undefined) guards.get(muxer)?.began(peer)
}

class MuxerGuard {
  readonly #muxer: Yamux
  readonly #connection: MessageStream
  readonly #manners: Manners
  readonly #pings = new TokenBucket(PINGS.perSecond, PINGS.burst)
  readonly #empty = new TokenBucket(EMPTY_FRAMES.perSecond, EMPTY_FRAMES.burst)
  readonly #rates = new Map<string, TokenBucket>()
  /** Streams whose protocol is not agreed, and the bytes that came on each. */
  readonly #unagreed = new Map<MuxedStream, number>()
  #peer: string | undefined

  constructor(muxer: Yamux, connection: MessageStream, manners: Manners) {
    this.#muxer = muxer
    this.#connection = connection
    this.#manners = manners
    const { decoder } = muxer
    const readFrame = decoder.readFrame.bind(decoder)
    decoder.readFrame = () => {
      this.#checkHeader()
      return readFrame()
    }
    const handleFrame = muxer.handleFrame.bind(muxer)
    muxer.handleFrame = (frame) => {
      if (this.#admits(frame)) handleFrame(frame)
    }
    const incomingStream = muxer.incomingStream.bind(muxer)
    muxer.incomingStream = (id) => {
      if (!this.#admitsStream(id)) return
      incomingStream(id)
      this.#watch(muxer.streams.at(-1), id)
    }
  }

  began(peer: string): void {
    this.#peer = peer
    const done = this.#manners.watch(() => this.#checkUnread())
    this.#connection.addEventListener('close', done, { once: true })
  }

  /** A frame is kept whole before its stream sees it: one beyond every window is none. */
  #checkHeader(): void {
    const { buffer } = this.#muxer.decoder
    if (buffer.byteLength < 12) return
    const header = buffer.subarray(0, 12)
    if (header[1] !== TYPE.data) return
    const length = new DataView(header.buffer, header.byteOffset, 12).getUint32(8)
    if (length <= LIMITS.streamCreditBytes) return
    this.#offend('oversize')
    throw new ManyhandsError('FRAME_TOO_LARGE', `a piece of ${length} bytes was announced`)
  }

  #admits({ header }: Frame): boolean {
    const { type, flag, length, streamID } = header
    if (type === TYPE.ping) {
      if (flag !== FLAG.syn || this.#pings.take()) return true
      this.#offend('flood')
      return false
    }
    if (length === 0 && flag === 0 && !this.#empty.take()) {
      this.#offend('flood')
      return false
    }
    return type !== TYPE.data || length === 0 || this.#admitsData(streamID, length)
  }

  #admitsData(id: number, bytes: number): boolean {
    const stream = this.#muxer.streams.find((one) => one.streamId === id)
    return stream === undefined || this.#admitsTo(stream, bytes)
  }

  #admitsTo(stream: MuxedStream, bytes: number): boolean {
    if (stream.direction === 'inbound' && stream.protocol === '') {
      const come = (this.#unagreed.get(stream) ?? 0) + bytes
      this.#unagreed.set(stream, come)
      if (come <= LIMITS.agreeBytes) return true
      return this.#end(stream, 'oversize', 'too much came before a protocol was agreed')
    }
    this.#unagreed.delete(stream)
    const rate = LIBRARY_RATES.find(({ prefix }) => stream.protocol.startsWith(prefix))
    if (rate === undefined) return true
    const bucket = this.#rates.get(rate.prefix) ?? new TokenBucket(rate.perSecond, rate.burst)
    this.#rates.set(rate.prefix, bucket)
    return bucket.take(bytes) || this.#end(stream, 'flood', `too much came by ${stream.protocol}`)
  }

  #admitsStream(id: number): boolean {
    const peer = this.#peer
    const pace = peer === undefined ? undefined : this.#manners.pace(peer)
    const fast = pace !== undefined && !pace.streams.take()
    if (this.#unagreed.size >= LIMITS.unagreedStreams) this.#dropAgreed()
    if (!fast && this.#unagreed.size < LIMITS.unagreedStreams) return true
    this.#offend(fast ? 'flood' : 'crowd')
    this.#muxer.sendFrame({ type: TYPE.window, flag: 8, streamID: id, length: 0 })
    return false
  }

  #watch(stream: MuxedStream | undefined, id: number): void {
    // Beyond the muxer's own limit none was made.
    if (stream === undefined || stream.streamId !== id) {
      this.#offend('crowd')
      return
    }
    this.#unagreed.set(stream, 0)
    stream.addEventListener('close', () => {
      this.#unagreed.delete(stream)
      if (stream.protocol === '' && this.#connection.status === 'open') this.#offend('unagreed')
    })
  }

  #dropAgreed(): void {
    for (const stream of this.#unagreed.keys()) {
      if (stream.protocol !== '') this.#unagreed.delete(stream)
    }
  }

  /** Answers that pile up end the connection. */
  #checkUnread(): void {
    let unread = (this.#connection as { writeBufferLength?: number }).writeBufferLength ?? 0
    for (const stream of this.#muxer.streams) unread += stream.writeBufferLength
    if (unread <= LIMITS.unreadBytes) return
    this.#offend('unread')
    const error = new ManyhandsError('LIMIT', 'the peer asks and does not read')
    this.#muxer.abort(error)
    this.#connection.abort(error)
  }

  #end(stream: MuxedStream, offence: Offence, why: string): false {
    this.#offend(offence)
    stream.abort(new ManyhandsError('LIMIT', why))
    return false
  }

  #offend(offence: Offence): void {
    if (this.#peer !== undefined) this.#manners.offend(this.#peer, offence)
  }
}
