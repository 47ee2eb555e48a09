import type { RuntimeOutput } from '@manyhands/core'

const HEADER_BYTES = 8
const STDERR = 2

/**
 * Takes the engine's attach stream apart: frames of an 8-byte header (stream, 3 zero bytes, length)
 * and payload, cut anywhere by the transport. Payloads are handed on as they come, without copies.
 */
export class OutputDemultiplexer {
  readonly #sink: (stream: RuntimeOutput['stream'], bytes: Uint8Array) => void
  readonly #header = Buffer.alloc(HEADER_BYTES)
  #headerFilled = 0
  #payloadLeft = 0

  constructor(sink: (stream: RuntimeOutput['stream'], bytes: Uint8Array) => void) {
    this.#sink = sink
  }

  push(bytes: Buffer): void {
    let at = 0
    while (at < bytes.length) {
      if (this.#payloadLeft === 0) {
        const copied = bytes.copy(this.#header, this.#headerFilled, at)
        at += copied
        this.#headerFilled += copied
        if (this.#headerFilled < HEADER_BYTES) return
        this.#headerFilled = 0
        this.#payloadLeft = this.#header.readUInt32BE(4)
      } else {
        const end = Math.min(bytes.length, at + this.#payloadLeft)
        this.#sink(this.#header[0] === STDERR ? 'stderr' : 'stdout', bytes.subarray(at, end))
        this.#payloadLeft -= end - at
        at = end
      }
    }
  }
}
