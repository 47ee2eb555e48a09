/** Bytes of one task's output that are read in a turn: far more than logs are, far less than floods. */
const BYTES_PER_TURN = 512 * 1024
const TURN_MS = 125
/** How long the rest of a flood may take to come once the task has ended. */
const REST_MS = 1000

/**
 * Reads a stream, at most 4 MiB a second: a task that floods its output is slowed down to that, instead
 * of having the engine and the host copy it as fast as it writes. Nothing is lost here.
 */
export class PacedReading {
  readonly #stream: NodeJS.ReadableStream
  readonly #ended = Promise.withResolvers<void>()
  #turn = performance.now()
  #bytesInTurn = 0
  #paced = true
  #flooded = false

  constructor(stream: NodeJS.ReadableStream, sink: (bytes: Buffer) => void) {
    this.#stream = stream
    stream.on('data', (bytes: Buffer) => {
      sink(bytes)
      if (this.#paced) this.#pace(bytes.length)
    })
    for (const end of ['end', 'close', 'error']) stream.on(end, () => this.#ended.resolve())
  }

  /** The task has ended: what is on its way comes as fast as it can. Resolves when a flood's rest is here. */
  async rest(): Promise<void> {
    this.#paced = false
    this.#stream.resume()
    if (!this.#flooded) return
    const timer = setTimeout(this.#ended.resolve, REST_MS)
    timer.unref()
    await this.#ended.promise
    clearTimeout(timer)
  }

  #pace(bytes: number): void {
    const now = performance.now()
    if (now - this.#turn >= TURN_MS) {
      this.#turn = now
      this.#bytesInTurn = 0
    }
    this.#bytesInTurn += bytes
    if (this.#bytesInTurn < BYTES_PER_TURN) return
    this.#flooded = true
    this.#stream.pause()
    setTimeout(() => this.#stream.resume(), this.#turn + TURN_MS - now).unref()
  }
}
