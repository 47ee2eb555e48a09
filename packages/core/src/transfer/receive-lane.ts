import { hash } from 'node:crypto'
import { TRANSFER } from '../artifacts/transfer-limits.ts'
import { ManyhandsError, toManyhandsError } from '../errors.ts'
import type { FrameStream } from '../network/network.ts'
import { alignedMemory, DIRECT_ALIGNMENT } from './direct-write.ts'
import { GuardedStream } from './guarded-stream.ts'
import type { LaneDisk } from './lane-disk.ts'
import type { ReceiveCommand, ReceiveOrder, ReceivePiece, ReceiveReport } from './lane-messages.ts'
import type { LanePort } from './lane-port.ts'
import { FRAME, plainBody, wantFrame } from './transfer-frames.ts'

interface Current {
  order: ReceiveOrder
  pieceIndex: number
  chunk: number
  /** Bytes of the piece that are here, and where its present chunk begins and ends. */
  filled: number
  chunkStart: number
  chunkEnd: number
  bytes: Uint8Array
}

/**
 * The receiving end of a lane: asks for what it is told to, takes the bytes as one sequence in the
 * order in which they were wanted, hashes them on the way while they are in the processor's cache, and
 * writes only what is right. It ends with a report of why.
 */
export async function runReceiveLane(
  stream: FrameStream,
  port: LanePort<ReceiveCommand, ReceiveReport>,
  disk: LaneDisk,
): Promise<void> {
  const first = await port.next()
  if (first?.kind !== 'receive') {
    stream.abort()
    return
  }
  const lane = new ReceiveLane(stream, first.stallMs, port, disk)
  await lane.run(first.open)
}

/** The peer gives nothing any more; its reason is read by who planned. */
class Refusal extends ManyhandsError {
  readonly frame: Uint8Array

  constructor(frame: Uint8Array) {
    super('PEER_GONE', 'the peer refused')
    this.frame = frame
  }
}

class ReceiveLane {
  readonly #stream: FrameStream
  readonly #guarded: GuardedStream
  readonly #port: LanePort<ReceiveCommand, ReceiveReport>
  readonly #disk: LaneDisk
  readonly #expected: ReceiveOrder[] = []
  readonly #done: number[] = []
  readonly #creating = new Set<Promise<void>>()
  #current: Current | undefined
  #scratch: Uint8Array = new Uint8Array(0)
  #aligned = false
  /** Wants in the order in which they came: frames are written one after the other. */
  #asking: Promise<void> = Promise.resolve()
  #ending = false
  #strays = 0
  #wake: (() => void) | undefined

  constructor(
    stream: FrameStream,
    stallMs: number,
    port: LanePort<ReceiveCommand, ReceiveReport>,
    disk: LaneDisk,
  ) {
    this.#stream = stream
    this.#guarded = new GuardedStream(stream, stallMs)
    this.#port = port
    this.#disk = disk
  }

  async run(open?: Uint8Array): Promise<void> {
    try {
      if (open !== undefined) await this.#stream.send(open)
      this.#port.listen(
        (command) => this.#take(command),
        () => this.#fail(new ManyhandsError('CANCELED', 'nobody waits for this transfer')),
      )
      await this.#receive()
      await Promise.all(this.#creating)
      if (this.#guarded.failure !== undefined) throw this.#guarded.failure.reason
      this.#tell()
      await this.#guarded.close()
      await this.#guarded.finish()
      this.#port.post({ kind: 'ended' })
    } catch (error) {
      this.#guarded.fail(error)
      await Promise.allSettled(this.#creating)
      this.#tell()
      const { reason } = this.#guarded.failure!
      if (reason instanceof Refusal) this.#port.post({ kind: 'refused', frame: reason.frame })
      else this.#port.post({ kind: 'failed', error: toManyhandsError(reason).toJSON() })
    } finally {
      await this.#disk.close()
      this.#port.close()
    }
  }

  #take(command: ReceiveCommand): void {
    if (command.kind === 'order') {
      this.#expected.push(...command.orders)
      const ranges = command.orders.flatMap(({ pieces }) =>
        pieces.map(({ file, position, length }): [number, number, number] => [
          file,
          position,
          length,
        ]),
      )
      this.#asking = this.#asking.then(() => this.#ask(ranges)).catch((error) => this.#fail(error))
    } else if (command.kind === 'end') this.#ending = true
    else if (command.kind === 'fail') this.#fail(ManyhandsError.fromJSON(command.error))
    this.#wake?.()
  }

  /** Ends every wait, that for orders too: a file may fail when all its bytes have come. */
  #fail(error: unknown): void {
    this.#guarded.fail(error)
    this.#wake?.()
  }

  async #ask(ranges: [number, number, number][]): Promise<void> {
    for (let at = 0; at < ranges.length; at += TRANSFER.rangesPerWant) {
      await this.#stream.send(wantFrame(ranges.slice(at, at + TRANSFER.rangesPerWant)))
    }
  }

  async #receive(): Promise<void> {
    for (;;) {
      while (this.#current === undefined && this.#expected.length === 0) {
        if (this.#ending) return
        if (this.#guarded.failure !== undefined) throw this.#guarded.failure.reason
        this.#tell()
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
      }
      const frame = await this.#guarded.expect()
      // News that were on their way when the stream became one for content.
      if (frame[0] === FRAME.have || frame[0] === FRAME.peers) {
        this.#stray()
        continue
      }
      if (frame[0] === FRAME.failed) throw new Refusal(frame)
      await this.#consume(plainBody(frame, FRAME.data))
      this.#guarded.recycle(frame)
      this.#tell()
    }
  }

  /** Each is progress to who watches for a stall: so many, and not without end. */
  #stray(): void {
    this.#strays += 1
    if (this.#strays <= TRANSFER.idleNews) return
    throw new ManyhandsError('PROTOCOL', `peer ${this.#stream.peer} sends news instead of content`)
  }

  async #consume(bytes: Uint8Array): Promise<void> {
    if (bytes.length === 0) throw new ManyhandsError('PROTOCOL', 'the peer sent an empty frame')
    let offset = 0
    while (offset < bytes.length) {
      const current = this.#current ?? this.#begin()
      const length = Math.min(current.chunkEnd - current.filled, bytes.length - offset)
      const part = bytes.subarray(offset, offset + length)
      current.bytes.set(part, current.filled)
      current.filled += length
      offset += length
      if (current.filled === current.chunkEnd) await this.#chunkEnd(current)
    }
  }

  #begin(): Current {
    const order = this.#expected.shift()
    if (order === undefined) {
      throw new ManyhandsError('PROTOCOL', 'the peer sent more than was asked for')
    }
    this.#current = {
      order,
      pieceIndex: 0,
      chunk: 0,
      filled: 0,
      chunkEnd: order.pieces[0]!.lengths[0]!,
      bytes: this.#memory(order.pieces[0]!),
      chunkStart: 0,
    }
    return this.#current
  }

  async #chunkEnd(current: Current): Promise<void> {
    const piece = current.order.pieces[current.pieceIndex]!
    const expected = piece.hashes.subarray(current.chunk * 32, current.chunk * 32 + 32)
    const chunk = current.bytes.subarray(current.chunkStart, current.chunkEnd)
    if (Buffer.compare(hash('sha256', chunk, 'buffer'), expected) !== 0) {
      throw new ManyhandsError(
        'ARTIFACT_CORRUPT',
        `peer ${this.#stream.peer} sent wrong bytes: a chunk of file ${piece.file} does not match its hash`,
        { details: { peer: this.#stream.peer, file: piece.file, position: piece.position } },
      )
    }
    current.chunk += 1
    current.chunkStart = current.chunkEnd
    if (current.chunk < piece.lengths.length) {
      current.chunkEnd += piece.lengths[current.chunk]!
      return
    }
    const last = current.pieceIndex + 1 === current.order.pieces.length
    if (last) this.#current = undefined
    await this.#write(piece, current.bytes.subarray(0, piece.length), current.order, last)
    if (last) return
    current.pieceIndex += 1
    const next = current.order.pieces[current.pieceIndex]!
    current.chunk = 0
    current.filled = 0
    current.chunkStart = 0
    current.chunkEnd = next.lengths[0]!
    current.bytes = this.#memory(next)
  }

  async #write(
    piece: ReceivePiece,
    bytes: Uint8Array,
    order: ReceiveOrder,
    last: boolean,
  ): Promise<void> {
    const { id } = order
    if (piece.temporary === undefined) {
      await this.#disk.write(piece, bytes)
      if (last) await this.#ordered(id)
      return
    }
    // Many small files wait for the disk together.
    const creating = this.#disk
      .create(piece.path, piece.temporary, bytes)
      .catch((error) => this.#fail(error))
      .finally(() => this.#creating.delete(creating))
    this.#creating.add(creating)
    if (last) await this.#ordered(id)
    while (this.#creating.size >= TRANSFER.unwrittenBatches) await Promise.race(this.#creating)
  }

  /** An order is done when its files are durable; other orders go on meanwhile. */
  async #ordered(id: number): Promise<void> {
    if (this.#creating.size === 0) {
      this.#done.push(id)
      return
    }
    const settled = Promise.all(this.#creating).then(() => {
      if (this.#guarded.failure !== undefined) return
      this.#done.push(id)
      this.#tell()
    })
    this.#creating.add(settled)
    void settled.finally(() => this.#creating.delete(settled))
  }

  #tell(): void {
    if (this.#done.length > 0) this.#port.post({ kind: 'done', ids: this.#done.splice(0) })
  }

  #memory({ temporary, position, length, direct = false }: ReceivePiece): Uint8Array {
    // Whole files are written behind the back of what comes next; everything else before it.
    if (temporary !== undefined) return Buffer.allocUnsafeSlow(length)
    const start = direct ? position % DIRECT_ALIGNMENT : 0
    const needed = start + length
    if (this.#scratch.length < needed || (direct && !this.#aligned)) {
      this.#scratch = direct ? alignedMemory(needed) : Buffer.allocUnsafeSlow(needed)
      this.#aligned = direct
    }
    return this.#scratch.subarray(start, needed)
  }
}
