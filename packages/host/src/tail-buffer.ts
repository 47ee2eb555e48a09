/** The last bytes of a stream, in bounded memory. */
export class TailBuffer {
  readonly #limit: number
  #chunks: Uint8Array[] = []
  #length = 0

  constructor(limit: number) {
    this.#limit = limit
  }

  get length(): number {
    return this.#length
  }

  push(bytes: Uint8Array): void {
    if (bytes.length === 0) return
    const kept = bytes.length > this.#limit ? bytes.subarray(bytes.length - this.#limit) : bytes
    // A copy: the runtime may reuse its buffer, and a small view must not keep a large one alive.
    this.#chunks.push(kept.slice())
    this.#length += kept.length
    while (this.#length - (this.#chunks[0]?.length ?? 0) >= this.#limit) {
      this.#length -= this.#chunks.shift()!.length
    }
  }

  /** The last bytes, at most the limit. */
  bytes(): Uint8Array {
    if (this.#length === 0) return new Uint8Array()
    const all = new Uint8Array(Buffer.concat(this.#chunks))
    return all.length > this.#limit ? all.subarray(all.length - this.#limit) : all
  }

  /** Takes the bytes out. */
  drain(): Uint8Array {
    const bytes = this.bytes()
    this.#chunks = []
    this.#length = 0
    return bytes
  }
}
