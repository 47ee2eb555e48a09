import { ManyhandsError } from '@manyhands/core'

/** Reads the numbers of WebAssembly's binary format between two offsets; never past the end. */
export class BinaryReader {
  readonly #bytes: Uint8Array
  readonly #end: number
  readonly #image: string
  offset: number

  constructor(bytes: Uint8Array, start: number, end: number, image: string) {
    this.#bytes = bytes
    this.offset = start
    this.#end = end
    this.#image = image
  }

  get done(): boolean {
    return this.offset >= this.#end
  }

  malformed(what: string): ManyhandsError {
    return new ManyhandsError(
      'IMAGE_INVALID',
      `${this.#image} is not a well-formed WebAssembly module: ${what} at byte ${this.offset}`,
    )
  }

  peek(): number {
    if (this.done) throw this.malformed('it ends')
    return this.#bytes[this.offset]!
  }

  byte(): number {
    const byte = this.peek()
    this.offset += 1
    return byte
  }

  skip(length: number): void {
    if (length > this.#end - this.offset) throw this.malformed('it is cut off')
    this.offset += length
  }

  /** Bytes from `start` to here. */
  slice(start: number): Uint8Array {
    return this.#bytes.subarray(start, this.offset)
  }

  /** An unsigned LEB128 number of up to 32 bits. */
  unsigned(): number {
    let value = 0
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.byte()
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) {
        if (value > 0xffffffff) break
        return value
      }
    }
    throw this.malformed('a number is too large')
  }

  /** Skips a signed LEB128 number of at most so many bytes. */
  signed(maximumBytes: number): void {
    for (let length = 0; length < maximumBytes; length += 1) if (this.byte() < 0x80) return
    throw this.malformed('a number is too large')
  }
}

export function encodeUnsigned(value: number): number[] {
  const out: number[] = []
  let rest = value
  do {
    const low = rest % 128
    rest = Math.floor(rest / 128)
    out.push(rest > 0 ? low | 0x80 : low)
  } while (rest > 0)
  return out
}
