import type { TLSSocket } from 'node:tls'
import { ManyhandsError } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import { BULK } from './bulk-limits.ts'
import { allocate, FrameAssembler, headerOf } from './frame-assembler.ts'
import { FRAME_COST, FRAME_KIND } from './frame-kind.ts'
import { FrameQueue } from './frame-queue.ts'
import type { FrameStream } from './network.ts'
import { peerGone, plainCause } from './peer-error.ts'

/** Frames that a caller who does not await may queue here. */
const OUTBOX_BYTES = 2 * LIMITS.streamCreditBytes
const CLOSE_TIMEOUT_MS = 10_000

export interface SocketFrameStreamOptions {
  peer: string
  /** Opened by the peer: its first frame must come in time. */
  inbound: boolean
  /** Test seam: how long the first frame may take. */
  headerMs?: number
}

/**
 * Frames over a secure socket that carries nothing else: its own back-pressure takes the place of
 * credits. Whoever made the socket gives what it reads to {@link take}.
 */
export class SocketFrameStream implements FrameStream {
  readonly peer: string
  readonly #socket: TLSSocket
  readonly #assembler: FrameAssembler
  readonly #received = new FrameQueue()
  #receivedBytes = 0
  #paused = false
  readonly #spare: ArrayBufferLike[] = []
  #closing: Promise<void> | undefined
  #endSent = false
  #endReceived = false
  #failure: { error: unknown } | undefined
  #reader: PromiseWithResolvers<Uint8Array | undefined> | undefined
  #room: PromiseWithResolvers<void> | undefined
  readonly #headerTimer: NodeJS.Timeout | undefined
  #closeTimer: NodeJS.Timeout | undefined

  constructor(
    socket: TLSSocket,
    { peer, inbound, headerMs = LIMITS.streamHeaderMs }: SocketFrameStreamOptions,
  ) {
    this.peer = peer
    this.#socket = socket
    this.#assembler = new FrameAssembler(
      (word) => this.#onHeader(word),
      (word, body) => this.#onFrame(word, body),
      (length) => this.#memory(length),
    )
    socket.setNoDelay(true)
    socket.on('drain', () => this.#settleRoom((room) => room.resolve()))
    socket.on('error', (error) => this.#onClose(error))
    socket.on('end', () => this.#onClose())
    socket.on('close', () => this.#onClose())
    if (socket.destroyed) queueMicrotask(() => this.#onClose())
    if (inbound) {
      this.#headerTimer = setTimeout(() => {
        this.abort(new ManyhandsError('TIMEOUT', `peer ${peer} opened a stream and sent nothing`))
      }, headerMs).unref()
    }
  }

  /** Bytes of the socket, which may be changed afterwards. */
  take(chunk: Uint8Array): void {
    this.#assembler.push(chunk)
    if (this.#receivedBytes < BULK.queueBytes || this.#paused) return
    this.#paused = true
    this.#socket.pause()
  }

  async send(frame: Uint8Array): Promise<void> {
    if (frame.length > LIMITS.streamFrameBytes) {
      throw new ManyhandsError(
        'FRAME_TOO_LARGE',
        `a frame of ${frame.length} bytes is beyond the limit of ${LIMITS.streamFrameBytes}`,
      )
    }
    this.#assertWhole()
    if (this.#closing !== undefined) {
      throw new ManyhandsError('CLOSED', 'this direction of the stream was closed')
    }
    if (this.#socket.writableLength + frame.length > OUTBOX_BYTES) {
      throw new ManyhandsError('LIMIT', 'too many frames are queued: await each send()')
    }
    this.#socket.write(headerOf((FRAME_KIND.data << 24) | frame.length))
    if (this.#socket.write(frame)) return
    this.#room ??= Promise.withResolvers()
    await this.#room.promise
  }

  async next(): Promise<Uint8Array | undefined> {
    const frame = this.#received.shift()
    if (frame !== undefined) {
      this.#receivedBytes -= frame.length + FRAME_COST
      if (this.#paused && this.#receivedBytes < BULK.queueBytes / 2) {
        this.#paused = false
        this.#socket.resume()
      }
      return frame
    }
    if (this.#endReceived) return undefined
    this.#assertWhole()
    if (this.#reader !== undefined) {
      throw new ManyhandsError('INTERNAL', 'a frame stream has one reader')
    }
    this.#reader = Promise.withResolvers()
    return this.#reader.promise
  }

  recycle(frame: Uint8Array): void {
    const whole = frame.buffer.byteLength === BULK.frameMemoryBytes
    if (whole && this.#spare.length < BULK.spareFrames) this.#spare.push(frame.buffer)
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    for (let frame = await this.next(); frame !== undefined; frame = await this.next()) yield frame
  }

  close(): Promise<void> {
    if (this.#closing === undefined) {
      this.#closing = this.#end()
      // A cut ends the stream too: who closes without waiting for it is not to be told so by a crash.
      this.#closing.catch(() => {})
    }
    return this.#closing
  }

  abort(reason?: unknown): void {
    if (this.#failure !== undefined) return
    this.#received.clear()
    this.#receivedBytes = 0
    this.#fail(reason ?? new ManyhandsError('CANCELED', 'the stream was aborted'))
  }

  /** The peer is gone; what came whole can still be read. */
  cut(what: string): void {
    if (this.#failure !== undefined || (this.#endSent && this.#endReceived)) return
    this.#fail(peerGone(this.peer, what))
  }

  async #end(): Promise<void> {
    this.#assertWhole()
    this.#endSent = true
    await new Promise<void>((resolve) => {
      this.#socket.write(headerOf(FRAME_KIND.end << 24), (error) => {
        if (error) this.#onClose(error)
        resolve()
      })
    })
    this.#assertWhole()
    this.#finish()
  }

  #assertWhole(): void {
    if (this.#failure !== undefined) throw this.#failure.error
  }

  /** Frames of all lengths share memory of one size, or the odd ones would crowd it out. */
  #memory(length: number): Uint8Array {
    // Small frames are cheaper made than kept.
    if (length < BULK.readBytes || length > BULK.frameMemoryBytes) return allocate(length)
    const memory = this.#spare.pop() ?? allocate(BULK.frameMemoryBytes).buffer
    return new Uint8Array(memory, 0, length)
  }

  #onHeader(word: number): number {
    clearTimeout(this.#headerTimer)
    const kind = word >>> 24
    const count = word & 0xffffff
    if (kind === FRAME_KIND.data && !this.#endReceived) {
      if (count <= LIMITS.streamFrameBytes) return count
      return this.#refuse('FRAME_TOO_LARGE', `announced a frame of ${count} bytes`)
    }
    if (kind === FRAME_KIND.end && count === 0 && !this.#endReceived) return 0
    return this.#refuse('PROTOCOL', `sent a frame header that makes no sense (${word})`)
  }

  #refuse(code: 'FRAME_TOO_LARGE' | 'PROTOCOL', what: string): number {
    this.abort(new ManyhandsError(code, `peer ${this.peer} ${what}`))
    return 0
  }

  #onFrame(word: number, body: Uint8Array): void {
    if (word >>> 24 === FRAME_KIND.end) {
      this.#endReceived = true
      this.#settleReader((reader) => reader.resolve(undefined))
      this.#finish()
    } else if (this.#reader === undefined) {
      this.#received.push(body)
      this.#receivedBytes += body.length + FRAME_COST
    } else {
      this.#settleReader((reader) => reader.resolve(body))
    }
  }

  /** Both directions ended: so does the socket, and a peer that keeps it open does so in vain. */
  #finish(): void {
    if (!this.#endSent || !this.#endReceived || this.#failure !== undefined) return
    if (this.#closeTimer !== undefined) return
    this.#closeTimer = setTimeout(() => this.#socket.destroy(), CLOSE_TIMEOUT_MS).unref()
    this.#socket.end()
  }

  #onClose(error?: Error): void {
    if (this.#socket.destroyed) clearTimeout(this.#closeTimer)
    if (this.#failure !== undefined) return
    if (this.#endSent && this.#endReceived && error === undefined) return
    const what = error === undefined ? 'it closed the stream early' : plainCause(error)
    // What arrived whole before the cut can still be read.
    this.#fail(peerGone(this.peer, what, error))
  }

  #fail(error: unknown): void {
    this.#failure = { error }
    this.#assembler.stop()
    clearTimeout(this.#headerTimer)
    clearTimeout(this.#closeTimer)
    this.#settleRoom((room) => room.reject(error))
    if (!this.#endReceived) this.#settleReader((reader) => reader.reject(error))
    this.#socket.destroy()
  }

  #settleReader(settle: (reader: PromiseWithResolvers<Uint8Array | undefined>) => void): void {
    const reader = this.#reader
    this.#reader = undefined
    if (reader !== undefined) settle(reader)
  }

  #settleRoom(settle: (room: PromiseWithResolvers<void>) => void): void {
    const room = this.#room
    this.#room = undefined
    if (room !== undefined) settle(room)
  }
}
