const HEADER_BYTES = 4
const EMPTY = new Uint8Array(0)

/**
 * Cuts chunks into frames of a 4-byte big-endian header word and a body. `bodyLength` says how long
 * the body of a header is; it is asked before a byte of the body is kept, so that a header beyond a
 * limit costs nothing.
 */
export class FrameAssembler {
  readonly #bodyLength: (word: number) => number
  readonly #onFrame: (word: number, body: Uint8Array) => void
  readonly #header = new Uint8Array(HEADER_BYTES)
  #headerFilled = 0
  #word = 0
  #body: Uint8Array | undefined
  #bodyFilled = 0
  readonly #memory: ((length: number) => Uint8Array) | undefined
  #stopped = false

  /**
   * @param bodyLength may call {@link stop}; what it returns then does not matter
   * @param memory where bodies go; with it no body is a view of a chunk, so chunks may be used again
   */
  constructor(
    bodyLength: (word: number) => number,
    onFrame: (word: number, body: Uint8Array) => void,
    memory?: (length: number) => Uint8Array,
  ) {
    this.#bodyLength = bodyLength
    this.#onFrame = onFrame
    this.#memory = memory
  }

  /** Whether the last chunk ended inside a frame. */
  get inFrame(): boolean {
    return this.#headerFilled > 0 || this.#body !== undefined
  }

  /** Drops what is half-read and everything that still comes. */
  stop(): void {
    this.#stopped = true
    this.#body = undefined
  }

  push(chunk: Uint8Array): void {
    let offset = 0
    while (offset < chunk.length && !this.#stopped) {
      offset = this.#body === undefined ? this.#begin(chunk, offset) : this.#fill(chunk, offset)
    }
  }

  #begin(chunk: Uint8Array, start: number): number {
    let offset = start
    while (this.#headerFilled < HEADER_BYTES) {
      if (offset === chunk.length) return offset
      this.#header[this.#headerFilled++] = chunk[offset++] as number
    }
    this.#headerFilled = 0
    const word = readWord(this.#header)
    const length = this.#bodyLength(word)
    if (this.#stopped) return offset
    if (length === 0) {
      this.#onFrame(word, EMPTY)
      return offset
    }
    if (this.#memory === undefined && chunk.length - offset >= length) {
      this.#onFrame(word, cut(chunk, offset, length))
      return offset + length
    }
    this.#word = word
    this.#body = (this.#memory ?? allocate)(length)
    this.#bodyFilled = 0
    return offset
  }

  #fill(chunk: Uint8Array, offset: number): number {
    const body = this.#body as Uint8Array
    const take = Math.min(body.length - this.#bodyFilled, chunk.length - offset)
    body.set(chunk.subarray(offset, offset + take), this.#bodyFilled)
    this.#bodyFilled += take
    if (this.#bodyFilled === body.length) {
      this.#body = undefined
      this.#onFrame(this.#word, body)
    }
    return offset + take
  }
}

export function readWord(bytes: Uint8Array): number {
  const [a = 0, b = 0, c = 0, d = 0] = bytes
  return ((a << 24) | (b << 16) | (c << 8) | d) >>> 0
}

export function headerOf(word: number): Uint8Array {
  return Uint8Array.of(word >>> 24, word >>> 16, word >>> 8, word)
}

/** A view when the body is most of its memory, else a copy: a small view would pin a large chunk. */
function cut(chunk: Uint8Array, offset: number, length: number): Uint8Array {
  if (chunk.buffer.byteLength <= 2 * length) return chunk.subarray(offset, offset + length)
  const copy = allocate(length)
  copy.set(chunk.subarray(offset, offset + length))
  return copy
}

export function allocate(length: number): Uint8Array {
  return new Uint8Array(Buffer.allocUnsafeSlow(length).buffer)
}
