import { LIMITS, type RuntimeOutput } from '@manyhands/core'

/** Small writes are put together up to this, so that the count of chunks is bounded too. */
const CHUNK_BYTES = 4096

function append(chunks: Uint8Array[], bytes: Uint8Array): void {
  const last = chunks.at(-1)
  if (last === undefined || last.length + bytes.length > CHUNK_BYTES) chunks.push(bytes)
  else chunks[chunks.length - 1] = Buffer.concat([last, bytes])
}

/** What is not read yet of one stream: the first half of the limit, and the newest half. */
class StreamLog {
  readonly #limit: number
  readonly #head: Uint8Array[] = []
  readonly #tail: Uint8Array[] = []
  #headBytes = 0
  #tailBytes = 0
  /** Bytes lost before the tail that the reader has not been told of. */
  #lost = 0

  constructor(limit: number) {
    this.#limit = limit / 2
  }

  /** @param gap bytes that were lost before these, on their way here */
  push(bytes: Uint8Array, gap: number): void {
    this.#lost += gap
    if (
      this.#lost === 0 &&
      this.#tail.length === 0 &&
      this.#headBytes + bytes.length <= this.#limit
    ) {
      append(this.#head, bytes)
      this.#headBytes += bytes.length
      return
    }
    append(this.#tail, bytes)
    this.#tailBytes += bytes.length
    while (this.#tailBytes > this.#limit) this.#dropOldest(this.#tailBytes - this.#limit)
  }

  shift(): { bytes: Uint8Array; gap?: number } | undefined {
    const head = this.#head.shift()
    if (head !== undefined) {
      this.#headBytes -= head.length
      return { bytes: head }
    }
    const tail = this.#tail.shift()
    if (tail === undefined) return undefined
    this.#tailBytes -= tail.length
    const gap = this.#lost
    this.#lost = 0
    return { bytes: tail, ...(gap === 0 ? {} : { gap }) }
  }

  #dropOldest(excess: number): void {
    const oldest = this.#tail[0]!
    const dropped = Math.min(excess, oldest.length)
    this.#tailBytes -= dropped
    this.#lost += dropped
    if (dropped === oldest.length) this.#tail.shift()
    else this.#tail[0] = oldest.slice(dropped)
  }
}

/**
 * Output between a task and its one reader. Nobody waits for the reader: when it is late it loses the
 * middle, is told how much, and finds the beginning and the end.
 */
export class OutputLog {
  readonly #streams = {
    stdout: new StreamLog(LIMITS.logBytes),
    stderr: new StreamLog(LIMITS.logBytes),
  }
  #ended = false
  #wake: (() => void) | undefined

  push(
    stream: RuntimeOutput['stream'],
    news: { bytes: Uint8Array; gap: number } | undefined,
  ): void {
    if (news === undefined) return
    this.#streams[stream].push(news.bytes, news.gap)
    this.#wake?.()
  }

  end(): void {
    this.#ended = true
    this.#wake?.()
  }

  async *read(): AsyncGenerator<RuntimeOutput> {
    while (true) {
      const next = this.#next()
      if (next !== undefined) yield next
      else if (this.#ended) return
      else await this.#news()
    }
  }

  #next(): RuntimeOutput | undefined {
    for (const stream of ['stdout', 'stderr'] as const) {
      const piece = this.#streams[stream].shift()
      if (piece !== undefined) return { stream, ...piece }
    }
    return undefined
  }

  async #news(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#wake = resolve
    await promise
    this.#wake = undefined
  }
}
