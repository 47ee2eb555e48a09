import { createHash, type Hash } from 'node:crypto'
import { ManyhandsError } from '../errors.ts'
import type { ManifestFile } from './artifact-store.ts'
import { chunkHash, chunkOffset } from './chunk-layout.ts'
import type { ReceivingFile } from './receiving-file.ts'
import { TRANSFER } from './transfer-limits.ts'

/** Chunks of one file side by side, asked for in one range, verified one by one, written at once. */
export interface Batch {
  /** Index in the manifest. */
  index: number
  file: ManifestFile
  target: ReceivingFile
  first: number
  count: number
}

export function batchBytes({ file, first, count }: Batch): number {
  return chunkOffset(file, first + count) - chunkOffset(file, first)
}

/** The batch whose bytes come now. */
interface Current {
  batch: Batch
  /** The first of its bytes that are to come. */
  bytes: Buffer
  filled: number
  hash: Hash
  /** Chunk that is being filled, counted in the batch. */
  chunk: number
}

export interface IntakeEvents {
  /** A batch is verified and written. */
  onWritten: (batch: Batch, bytes: number) => void
  onFailure: (error: unknown) => void
}

/**
 * Takes the bytes of wanted batches as one sequence, in the order in which they were wanted. Bytes are
 * gathered into whole batches and hashed on the way, while they are in the processor's cache: that is
 * cheaper than to hand them to another thread. A batch is written only when all its chunks are right.
 */
export class ChunkIntake {
  readonly #events: IntakeEvents
  readonly #expected: Batch[] = []
  readonly #writing = new Set<Promise<void>>()
  readonly #spare: Buffer[] = []
  #current: Current | undefined
  #unwritten = 0
  #failed = false

  constructor(events: IntakeEvents) {
    this.#events = events
  }

  /** Bytes follow for this batch, after those that were expected before. */
  expect(batch: Batch): void {
    this.#expected.push(batch)
  }

  /** Batches that are not here whole. */
  get outstanding(): number {
    return this.#expected.length + (this.#current === undefined ? 0 : 1)
  }

  /** Takes one frame's bytes; waits while too much is not yet written. @throws PROTOCOL */
  async take(bytes: Uint8Array): Promise<void> {
    if (bytes.length === 0) throw new ManyhandsError('PROTOCOL', 'the peer sent an empty frame')
    let offset = 0
    while (offset < bytes.length) {
      const current = this.#current ?? this.#begin()
      const chunkEnd = endOf(current)
      const length = Math.min(chunkEnd - current.filled, bytes.length - offset)
      const piece = bytes.subarray(offset, offset + length)
      current.bytes.set(piece, current.filled)
      current.hash.update(piece)
      offset += length
      current.filled += length
      if (current.filled < chunkEnd) continue
      assertRight(current.batch, current.chunk, current.hash.digest())
      current.chunk += 1
      current.hash = createHash('sha256')
      if (chunkEnd < current.bytes.length) continue
      this.#current = undefined
      this.#write(current.batch, current.bytes)
      while (
        this.#unwritten > TRANSFER.unwrittenBytes ||
        this.#writing.size >= TRANSFER.unwrittenBatches
      ) {
        await Promise.race(this.#writing)
      }
    }
  }

  /** Resolves when everything taken is written or has failed. */
  async settled(): Promise<void> {
    await Promise.all(this.#writing)
  }

  #begin() {
    const batch = this.#expected.shift()
    if (batch === undefined) {
      throw new ManyhandsError('PROTOCOL', 'the peer sent more than was asked for')
    }
    const size = batchBytes(batch)
    // Nearly full ones share buffers of one size, so that they can be used again.
    const large = size > TRANSFER.batchBytes / 2
    const whole =
      (large ? this.#spare.pop() : undefined) ??
      Buffer.allocUnsafeSlow(large ? TRANSFER.batchBytes : size)
    const bytes = whole.subarray(0, size)
    this.#current = { batch, bytes, filled: 0, hash: createHash('sha256'), chunk: 0 }
    return this.#current
  }

  #write(batch: Batch, bytes: Buffer): void {
    this.#unwritten += bytes.length
    const run = this.#writeVerified(batch, bytes)
      .catch((error) => {
        this.#failed = true
        this.#events.onFailure(error)
      })
      .finally(() => {
        this.#unwritten -= bytes.length
        this.#writing.delete(run)
        const whole = Buffer.from(bytes.buffer)
        if (whole.length === TRANSFER.batchBytes) this.#spare.push(whole)
      })
    this.#writing.add(run)
  }

  async #writeVerified(batch: Batch, bytes: Buffer): Promise<void> {
    // After a failure nothing else is begun, so that the transfer ends soon.
    if (this.#failed) return
    await batch.target.write(batch.first, batch.count, bytes)
    this.#events.onWritten(batch, bytes.length)
  }
}

/** Where the chunk that is being filled ends in its batch. */
function endOf({ batch: { file, first }, chunk }: Current): number {
  return chunkOffset(file, first + chunk + 1) - chunkOffset(file, first)
}

function assertRight({ file, first }: Batch, chunk: number, hash: Buffer): void {
  if (hash.equals(chunkHash(file, first + chunk))) return
  throw new ManyhandsError(
    'ARTIFACT_CORRUPT',
    `chunk ${first + chunk} of ${file.path || 'the file'} does not match its hash`,
  )
}
