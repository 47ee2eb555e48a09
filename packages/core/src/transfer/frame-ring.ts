import { TRANSFER } from '../artifacts/transfer-limits.ts'
import { bytesFrame, FRAME } from './transfer-frames.ts'

/**
 * Data frames of full size, used again: without this a transfer leaves gigabytes of buffers to the
 * garbage collector.
 */
export class FrameRing {
  readonly #sent: { frame: Uint8Array; at: number }[] = []
  readonly #heldBytes: number | undefined
  #total = 0

  /**
   * @param heldBytes - what may be sent after a frame while somebody still looks at it; undefined: no frame is
   *   kept
   */
  constructor(heldBytes: number | undefined) {
    this.#heldBytes = heldBytes
  }

  /** A frame for this many bytes of payload. */
  take(length: number): Uint8Array {
    // Small ones are cheaper made than kept.
    if (length < TRANSFER.frameBytes / 4) return bytesFrame(FRAME.data, length)
    const oldest = this.#sent[0]
    const free = oldest !== undefined && this.#total - oldest.at > (this.#heldBytes ?? 0)
    const whole = free ? oldest.frame : bytesFrame(FRAME.data, TRANSFER.frameBytes)
    if (free) this.#sent.shift()
    return whole.subarray(0, 1 + length)
  }

  /** A frame was sent: its `send` has resolved. */
  give(frame: Uint8Array): void {
    this.#total += frame.length
    if (this.#heldBytes === undefined) return
    if (frame.buffer.byteLength !== 1 + TRANSFER.frameBytes) return
    this.#sent.push({ frame: new Uint8Array(frame.buffer), at: this.#total })
  }
}
