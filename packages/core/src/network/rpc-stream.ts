import type { Stream } from '@libp2p/interface'
import { concat } from 'uint8arrays/concat'
import { ManyhandsError } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import { FrameAssembler, headerOf } from './frame-assembler.ts'
import { FramePace } from './manners/frame-pace.ts'
import type { Offence } from './manners/offences.ts'
import { peerGone, plainCause } from './peer-error.ts'
import {
  decodeEnvelope,
  encodeEnvelope,
  encodeFailure,
  RPC_VERSION,
  type RpcAnswer,
  type RpcRequest,
} from './rpc-envelope.ts'

/** Bytes that may wait for a peer that does not read; more, and it is cut off. */
const OUTBOX_BYTES = 8 * LIMITS.rpcFrameBytes

/** What a stream needs to know of the side it belongs to. */
export interface RpcPeer {
  readonly peer: string
  /** Requests of the peer that are being answered now, over all of its streams. */
  answering: number
  /** Something came over a stream. */
  heard(stream: RpcStream): void
  /** Answers a request with a document. Rejects with what the peer shall be told. */
  answer(method: string, params: unknown): Promise<unknown>
  /** Whether a request of so many bytes is within what the peer may ask in a second. */
  admits(bytes: number): boolean
  /** Something is held against the peer. */
  offend(offence: Offence): void
  /** A frame could be read. */
  spoke(): void
}

interface PendingCall {
  resolve(result: unknown): void
  reject(error: unknown): void
}

/**
 * Requests and answers in both directions over one stream: frames of a 4-byte length and a DAG-CBOR
 * envelope, `{ v, id, method, params }` or `{ v, id, ok, result | error }`. Ids are the asker's own.
 * A frame that cannot be read ends the stream, because nothing after it can be trusted.
 */
export class RpcStream {
  readonly #stream: Stream
  readonly #side: RpcPeer
  readonly #assembler: FrameAssembler
  readonly #pending = new Map<number, PendingCall>()
  readonly #onClosed: () => void
  readonly #pace = new FramePace()
  #spoke = false
  #nextId = 1
  #answering = 0
  #outbox: Uint8Array[] = []
  #outboxBytes = 0
  #flushScheduled = false
  #closed = false

  constructor(stream: Stream, side: RpcPeer, onClosed: () => void) {
    this.#stream = stream
    this.#side = side
    this.#onClosed = onClosed
    this.#assembler = new FrameAssembler(
      (length) => this.#onHeader(length),
      (_, body) => this.#onFrame(body),
    )
    stream.addEventListener('message', (event) => {
      const { data } = event
      if (data instanceof Uint8Array) this.#assembler.push(data)
      else for (const chunk of data) this.#assembler.push(chunk)
      if (this.#closed || !this.#pace.slow(data.byteLength, this.#assembler.inFrame)) return
      this.#blame('slow', new ManyhandsError('TIMEOUT', `peer ${side.peer} sends too slowly`))
    })
    stream.addEventListener('drain', () => this.#scheduleFlush())
    stream.addEventListener('close', (event) => this.#onClose(event.error))
    stream.addEventListener('remoteCloseWrite', () => this.abort(new Error('the peer closed it')))
    if (stream.status !== 'open' || stream.remoteWriteStatus !== 'writable') {
      queueMicrotask(() => this.abort(new Error('the peer closed it')))
    }
  }

  get pending(): number {
    return this.#pending.size
  }

  /** Requests that came over this stream and are not answered yet. */
  get answering(): number {
    return this.#answering
  }

  get closed(): boolean {
    return this.#closed
  }

  /** Sends a request whose params were checked. The promise is for the result as it came. */
  request(method: string, params: unknown, call: PendingCall): { forget(): void } {
    if (this.#closed) throw peerGone(this.#side.peer, 'it closed the stream')
    const id = this.#nextId++
    const frame = encodeEnvelope({ v: RPC_VERSION, id, method, params })
    if (this.#outboxBytes + frame.length > OUTBOX_BYTES) {
      throw new ManyhandsError('LIMIT', `peer ${this.#side.peer} does not read its requests`)
    }
    this.#pending.set(id, call)
    this.#write(frame)
    return { forget: () => this.#pending.delete(id) }
  }

  abort(error: Error): void {
    if (this.#closed) return
    this.#onClose(error)
    this.#stream.abort(error)
  }

  #onHeader(length: number): number {
    const { peer } = this.#side
    if (length > 0 && length <= LIMITS.rpcFrameBytes) {
      // Who waits for answers cannot know yet which frame is one.
      if (this.#pending.size > 0 || this.#side.admits(length)) return length
      this.#blame('flood', new ManyhandsError('LIMIT', `peer ${peer} asks too much per second`))
    } else if (length === 0) {
      this.#blame('malformed', new ManyhandsError('PROTOCOL', `peer ${peer} sent an empty frame`))
    } else {
      const text = `peer ${peer} announced a request of ${length} bytes`
      this.#blame('oversize', new ManyhandsError('FRAME_TOO_LARGE', text))
    }
    return 0
  }

  /** What cannot be trusted any more ends, and is held against the peer. */
  #blame(offence: Offence, error: Error): void {
    this.#assembler.stop()
    this.abort(error)
    this.#side.offend(offence)
  }

  #onFrame(body: Uint8Array): void {
    const asked = this.#pending.size > 0
    try {
      const envelope = decodeEnvelope(body)
      this.#side.heard(this)
      if (!this.#spoke) this.#side.spoke()
      this.#spoke = true
      if (!('method' in envelope)) this.#onAnswer(envelope)
      else if (!asked || this.#side.admits(body.length)) this.#onRequest(envelope)
      else {
        const text = `peer ${this.#side.peer} asks too much per second`
        this.#blame('flood', new ManyhandsError('LIMIT', text))
      }
    } catch (error) {
      this.#blame('malformed', error as Error)
    }
  }

  #onRequest({ v, id, method, params }: RpcRequest): void {
    const side = this.#side
    if (v !== RPC_VERSION) {
      this.#fail(id, new ManyhandsError('PROTOCOL', `unknown version ${v}`))
    } else if (side.answering >= LIMITS.rpcPendingPerPeer) {
      const text = `${LIMITS.rpcPendingPerPeer} requests are open already`
      this.#fail(id, new ManyhandsError('LIMIT', text))
    } else {
      side.answering++
      this.#answering++
      side
        .answer(method, params)
        .finally(() => {
          side.answering--
          this.#answering--
        })
        .then((result) => this.#answer(encodeEnvelope({ v: RPC_VERSION, id, ok: true, result })))
        .catch((error) => this.#fail(id, error))
    }
  }

  #onAnswer(answer: RpcAnswer): void {
    const call = this.#pending.get(answer.id)
    // Given up on: its time was over or its caller left.
    if (call === undefined) return
    this.#pending.delete(answer.id)
    if (answer.ok) call.resolve(answer.result)
    else call.reject(ManyhandsError.fromJSON(answer.error))
  }

  #fail(id: number, error: unknown): void {
    this.#answer(encodeFailure(id, error))
  }

  #answer(frame: Uint8Array): void {
    if (this.#closed) return
    if (this.#outboxBytes + frame.length <= OUTBOX_BYTES) {
      this.#write(frame)
      return
    }
    const text = `peer ${this.#side.peer} asks but does not read the answers`
    this.#blame('unread', new ManyhandsError('LIMIT', text))
  }

  #write(frame: Uint8Array): void {
    this.#outbox.push(headerOf(frame.length), frame)
    this.#outboxBytes += frame.length + 4
    this.#scheduleFlush()
  }

  /** What is written in one turn of the event loop leaves as one send: many small calls are cheap. */
  #scheduleFlush(): void {
    if (this.#flushScheduled || this.#outbox.length === 0) return
    this.#flushScheduled = true
    setImmediate(() => {
      this.#flushScheduled = false
      if (this.#closed || this.#outbox.length === 0 || this.#stream.writableNeedsDrain) return
      const bytes = concat(this.#outbox, this.#outboxBytes)
      this.#outbox = []
      this.#outboxBytes = 0
      try {
        this.#stream.send(bytes)
      } catch (cause) {
        this.abort(cause as Error)
      }
    })
  }

  #onClose(error?: Error): void {
    if (this.#closed) return
    this.#closed = true
    this.#assembler.stop()
    if (!this.#spoke && this.#stream.direction === 'inbound') this.#side.offend('cut')
    this.#outbox = []
    const what = error === undefined ? 'it closed the connection' : plainCause(error)
    const gone = error instanceof ManyhandsError ? error : peerGone(this.#side.peer, what, error)
    for (const call of this.#pending.values()) call.reject(gone)
    this.#pending.clear()
    this.#onClosed()
  }
}
