import type { RuntimeOutput } from '@manyhands/core'

const HEADER_BYTES = 8
const STDERR = 2

/**
 * Takes the engine's attach stream apart: frames of an 8-byte header (stream, 3 zero bytes, length)
 * and payload, cut anywhere by the transport. A program that writes a line at a time makes a frame of
 * each; those that came together are handed on together, as long as the stream is the same.
 */
export class OutputDemultiplexer {
  readonly #sink: (stream: RuntimeOutput['stream'], bytes: Uint8Array) => void
  readonly #header = Buffer.alloc(HEADER_BYTES)
  #headerFilled = 0
  #payloadLeft = 0

  constructor(sink: (stream: RuntimeOutput['stream'], bytes: Uint8Array) => void) {
    this.#sink = sink
  }

  /** Takes `bytes` over: payloads are joined in place. Returns how many frames began in it. */
  push(bytes: Buffer): number {
    let frames = 0
    let at = 0
    let stream = this.#header[0]
    // What is to be handed on, before `at`: payloads moved over the headers between them.
    let from = 0
    let to = 0
    const handOn = () => {
      if (to > from) this.#sink(stream === STDERR ? 'stderr' : 'stdout', bytes.subarray(from, to))
    }
    while (at < bytes.length) {
      if (this.#payloadLeft === 0) {
        const copied = bytes.copy(this.#header, this.#headerFilled, at)
        at += copied
        this.#headerFilled += copied
        if (this.#headerFilled < HEADER_BYTES) break
        this.#headerFilled = 0
        this.#payloadLeft = this.#header.readUInt32BE(4)
        frames += 1
        if (this.#header[0] === stream && to > from) continue
        handOn()
        stream = this.#header[0]
        from = to = at
      } else {
        const end = Math.min(bytes.length, at + this.#payloadLeft)
        if (to !== at) bytes.copyWithin(to, at, end)
        to += end - at
        this.#payloadLeft -= end - at
        at = end
      }
    }
    handOn()
    return frames
  }
}
