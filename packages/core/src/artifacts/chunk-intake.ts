import { ManyhandsError } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import type { ManifestFile } from './artifact-store.ts'
import { chunkHash, chunkLength } from './manifest.ts'
import type { ReceivingFile } from './receiving-file.ts'
import { sha256 } from './sha256.ts'
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
  const last = first + count - 1
  return (count - 1) * LIMITS.chunkBytes + chunkLength(file.size, last)
}

export interface IntakeEvents {
  /** A batch is verified and written. */
  onWritten: (batch: Batch, bytes: number) => void
  onFailure: (error: unknown) => void
}

/**
 * Takes the bytes of wanted batches as one sequence, in the order in which they were wanted. Bytes are
 * gathered into whole batches, each chunk is hashed off this thread as soon as it is complete, and a
 * batch is written only when all its chunks are right.
 */
export class ChunkIntake {
  readonly #events: IntakeEvents
  readonly #expected: Batch[] = []
  readonly #writing = new Set<Promise<void>>()
  readonly #spare: Buffer[] = []
  #current: { batch: Batch; bytes: Buffer; filled: number; checks: Promise<boolean>[] } | undefined
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
      const length = Math.min(current.bytes.length - current.filled, bytes.length - offset)
      current.bytes.set(bytes.subarray(offset, offset + length), current.filled)
      offset += length
      const before = Math.floor(current.filled / LIMITS.chunkBytes)
      current.filled += length
      const full = current.filled === current.bytes.length
      const after = full ? current.batch.count : Math.floor(current.filled / LIMITS.chunkBytes)
      for (let chunk = before; chunk < after; chunk++) {
        current.checks.push(check(current.batch, chunk, current.bytes))
      }
      if (!full) continue
      this.#current = undefined
      this.#write(current.batch, current.bytes, current.checks)
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
    await Promise.allSettled(this.#current?.checks ?? [])
  }

  #begin() {
    const batch = this.#expected.shift()
    if (batch === undefined) {
      throw new ManyhandsError('PROTOCOL', 'the peer sent more than was asked for')
    }
    const size = batchBytes(batch)
    const whole = TRANSFER.chunksPerBatch * LIMITS.chunkBytes
    const spare = size === whole ? this.#spare.pop() : undefined
    const bytes = spare ?? Buffer.allocUnsafeSlow(size)
    this.#current = { batch, bytes, filled: 0, checks: [] }
    return this.#current
  }

  #write(batch: Batch, bytes: Buffer, checks: Promise<boolean>[]): void {
    this.#unwritten += bytes.length
    const run = this.#verifyAndWrite(batch, bytes, checks)
      .catch((error) => {
        this.#failed = true
        this.#events.onFailure(error)
      })
      .finally(() => {
        this.#unwritten -= bytes.length
        this.#writing.delete(run)
        if (bytes.length === TRANSFER.chunksPerBatch * LIMITS.chunkBytes) this.#spare.push(bytes)
      })
    this.#writing.add(run)
  }

  async #verifyAndWrite(batch: Batch, bytes: Buffer, checks: Promise<boolean>[]): Promise<void> {
    const right = await Promise.all(checks)
    const wrong = right.indexOf(false)
    if (wrong >= 0) {
      throw new ManyhandsError(
        'ARTIFACT_CORRUPT',
        `chunk ${batch.first + wrong} of ${batch.file.path || 'the file'} does not match its hash`,
      )
    }
    // After a failure nothing else is begun, so that the transfer ends soon.
    if (this.#failed) return
    await batch.target.write(batch.first, batch.count, bytes)
    this.#events.onWritten(batch, bytes.length)
  }
}

async function check(batch: Batch, chunk: number, bytes: Buffer): Promise<boolean> {
  const index = batch.first + chunk
  const start = chunk * LIMITS.chunkBytes
  const hash = await sha256(bytes.subarray(start, start + chunkLength(batch.file.size, index)))
  return Buffer.compare(hash, chunkHash(batch.file, index)) === 0
}
