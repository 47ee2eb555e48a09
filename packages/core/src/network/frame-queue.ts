const COMPACT_AT = 1024

/** First in, first out in constant time: `Array.shift` moves everything when a queue is long. */
export class FrameQueue {
  #frames: (Uint8Array | undefined)[] = []
  #head = 0

  push(frame: Uint8Array): void {
    this.#frames.push(frame)
  }

  shift(): Uint8Array | undefined {
    const frame = this.#frames[this.#head]
    if (frame === undefined) return undefined
    this.#frames[this.#head++] = undefined
    if (this.#head >= COMPACT_AT && this.#head * 2 >= this.#frames.length) {
      this.#frames = this.#frames.slice(this.#head)
      this.#head = 0
    }
    return frame
  }

  clear(): void {
    this.#frames = []
    this.#head = 0
  }
}
