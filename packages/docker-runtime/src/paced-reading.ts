/** What is read of one task's output: as much as a client could be told of it, and some more. */
const BYTES_PER_MS = (1024 * 1024) / 1000
/** What may come as fast as it can, before that counts: far more than logs are. */
const BURST_BYTES = 4 * 1024 * 1024
/**
 * What a frame of the engine's costs beside its bytes: each passes through three processes. A task that
 * has to wait for that loses nothing, for what it writes meanwhile comes in larger frames.
 */
const FRAME_BYTES = 8 * 1024
/** Less is no pause. */
const PAUSE_LEAST_MS = 20
/** Longer would be a task that seems to be silent. */
const PAUSE_MOST_MS = 500
/** How long the rest of a flood may take to come once the task has ended. */
const REST_MS = 1000

/**
 * Reads a stream, after a burst at most 1 MiB or 128 frames a second: a task that floods its output is
 * slowed down to that, instead of having the engine and the host copy it as fast as it writes. Nothing is
 * lost here.
 */
export class PacedReading {
  readonly #stream: NodeJS.ReadableStream
  readonly #ended = Promise.withResolvers<void>()
  /** Cost of what was read and is not made good by time yet. */
  #owed = 0
  #owedAt = performance.now()
  #paced = true
  #flooded = false

  /** @param sink takes what was read, and answers how many frames that were */
  constructor(stream: NodeJS.ReadableStream, sink: (bytes: Buffer) => number) {
    this.#stream = stream
    stream.on('data', (bytes: Buffer) => {
      const frames = sink(bytes)
      if (this.#paced) this.#pace(bytes.length + frames * FRAME_BYTES)
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

  /** Another task writes to the same stream from now on. */
  renew(): void {
    this.#owed = 0
    this.#paced = true
    this.#flooded = false
  }

  #pace(cost: number): void {
    const now = performance.now()
    const paid = (now - this.#owedAt) * BYTES_PER_MS
    this.#owed = Math.max(0, this.#owed - paid) + cost
    this.#owedAt = now
    const pauseMs = (this.#owed - BURST_BYTES) / BYTES_PER_MS
    if (pauseMs < PAUSE_LEAST_MS) return
    this.#flooded = true
    this.#stream.pause()
    setTimeout(() => this.#stream.resume(), Math.min(pauseMs, PAUSE_MOST_MS)).unref()
  }
}
