import { TRANSFER } from '../artifacts/transfer-limits.ts'
import { LIMITS } from '../limits.ts'
import { bytesFrame, FRAME } from './transfer-messages.ts'

/**
 * Data frames of full size, used again. A stream has at most `streamCreditBytes` under way before the
 * reader has taken them: once more than that was sent after a frame, nobody looks at it any more.
 * Without this a transfer leaves gigabytes of buffers to the garbage collector.
 */
export class FrameRing {
  readonly #sent: { frame: Uint8Array; at: number }[] = []
  #total = 0

  /** A frame for this many bytes of payload. */
  take(length: number): Uint8Array {
    const oldest = this.#sent[0]
    const free = oldest !== undefined && this.#total - oldest.at > 2 * LIMITS.streamCreditBytes
    if (length !== TRANSFER.frameBytes || !free) return bytesFrame(FRAME.data, length)
    this.#sent.shift()
    return oldest.frame
  }

  /** A frame was sent: its `send` has resolved. */
  give(frame: Uint8Array): void {
    this.#total += frame.length
    if (frame.length === 1 + TRANSFER.frameBytes) this.#sent.push({ frame, at: this.#total })
  }
}
