import { WASM_LIMITS } from './wasm-limits.ts'

/**
 * What a task writes to one stream, in memory that task and host share. The writer never waits: a
 * reader that is late finds the newest bytes. The bytes outlive the task's thread, so what was
 * written last is there even after a kill.
 *
 * Layout: an Int32 that says whether the reader has been told, two BigInt64 counters of bytes ever
 * written (before and after copying), then the bytes.
 */
const HEADER_BYTES = 24
const CLAIMED = 1
const WRITTEN = 2

export const createRingBuffer = (): SharedArrayBuffer =>
  new SharedArrayBuffer(HEADER_BYTES + WASM_LIMITS.outputRingBytes)

const views = (buffer: SharedArrayBuffer) => ({
  told: new Int32Array(buffer, 0, 1),
  counters: new BigInt64Array(buffer, 0, 3),
  bytes: new Uint8Array(buffer, HEADER_BYTES),
})

export class RingWriter {
  readonly #ring: ReturnType<typeof views>
  readonly #tell: () => void
  #total = 0

  /** @param tell wakes the reader; called at most once until the reader has looked */
  constructor(buffer: SharedArrayBuffer, tell: () => void) {
    this.#ring = views(buffer)
    this.#tell = tell
  }

  write(source: Uint8Array): void {
    if (source.length === 0) return
    const { bytes, counters, told } = this.#ring
    const kept = source.subarray(Math.max(0, source.length - bytes.length))
    this.#total += source.length
    Atomics.store(counters, CLAIMED, BigInt(this.#total))
    const start = (this.#total - kept.length) % bytes.length
    const first = kept.subarray(0, bytes.length - start)
    bytes.set(first, start)
    bytes.set(kept.subarray(first.length), 0)
    Atomics.store(counters, WRITTEN, BigInt(this.#total))
    if (Atomics.exchange(told, 0, 1) === 0) this.#tell()
  }
}

export class RingReader {
  readonly #ring: ReturnType<typeof views>
  #read = 0

  constructor(buffer: SharedArrayBuffer) {
    this.#ring = views(buffer)
  }

  /** What is new, or undefined; `gap`: bytes before it that were overwritten before they could be read. */
  read(): { bytes: Uint8Array<ArrayBuffer>; gap: number } | undefined {
    const { bytes, counters, told } = this.#ring
    Atomics.store(told, 0, 0)
    const end = Number(Atomics.load(counters, WRITTEN))
    const begin = Math.max(this.#read, end - bytes.length)
    if (begin === end) return undefined
    const missed = begin - this.#read
    this.#read = end
    const copy = new Uint8Array(end - begin)
    const start = begin % bytes.length
    const first = bytes.subarray(start, Math.min(bytes.length, start + copy.length))
    copy.set(first)
    copy.set(bytes.subarray(0, copy.length - first.length), first.length)
    // What the writer has claimed meanwhile may have changed under the copying.
    const torn = Number(Atomics.load(counters, CLAIMED)) - bytes.length - begin
    if (torn <= 0) return { bytes: copy, gap: missed }
    const whole = copy.slice(torn)
    return { bytes: whole, gap: missed + copy.length - whole.length }
  }
}
