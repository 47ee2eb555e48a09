import type { RuntimeOutput } from './runtime.ts'

/** What a chunk costs beside its bytes, so that a flood of tiny ones is bounded as well. */
const CHUNK_COST = 256

interface Chunk {
  sequence: number
  bytes: Uint8Array
}

/** Unread chunks of one stream: the first half of its budget is kept, then a window of the latest. */
class Lane {
  readonly #half: number
  readonly #head: Chunk[] = []
  #tail: Chunk[] = []
  #tailStart = 0
  #headCost = 0
  #tailCost = 0
  /** Bytes dropped between head and tail that no reader has been told of. */
  #lost = 0

  constructor(limitBytes: number) {
    this.#half = Math.floor(limitBytes / 2)
  }

  push(chunk: Chunk): void {
    const cost = chunk.bytes.length + CHUNK_COST
    if (this.#tailStart === this.#tail.length && this.#headCost + cost <= this.#half) {
      this.#head.push(chunk)
      this.#headCost += cost
      return
    }
    this.#tail.push(chunk)
    this.#tailCost += cost
    while (this.#tailCost > this.#half) this.#shorten()
  }

  first(): Chunk | undefined {
    return this.#head[0] ?? this.#tail[this.#tailStart]
  }

  take(): { bytes: Uint8Array; gap?: number } | undefined {
    const head = this.#head.shift()
    if (head !== undefined) {
      this.#headCost -= head.bytes.length + CHUNK_COST
      return { bytes: head.bytes }
    }
    const tail = this.#tail[this.#tailStart]
    if (tail === undefined) return undefined
    this.#dropOldest(tail)
    const gap = this.#lost
    this.#lost = 0
    return { bytes: tail.bytes, ...(gap === 0 ? {} : { gap }) }
  }

  #shorten(): void {
    const oldest = this.#tail[this.#tailStart]!
    const excess = this.#tailCost - this.#half
    if (excess < oldest.bytes.length) {
      oldest.bytes = oldest.bytes.subarray(excess)
      this.#tailCost -= excess
      this.#lost += excess
    } else {
      this.#dropOldest(oldest)
      this.#lost += oldest.bytes.length
    }
  }

  #dropOldest(chunk: Chunk): void {
    this.#tailCost -= chunk.bytes.length + CHUNK_COST
    this.#tailStart += 1
    // Moving the start is cheap; the array is cut only when half of it is dead.
    if (this.#tailStart * 2 > this.#tail.length) {
      this.#tail = this.#tail.slice(this.#tailStart)
      this.#tailStart = 0
    }
  }
}

/**
 * Keeps what a task writes until somebody reads it, within `limitBytes` for each stream. Writing never
 * waits: a late reader loses the middle, never the end, and is told how much; a flood on one stream costs
 * the other nothing.
 */
export class BoundedOutput {
  readonly #lanes: Record<RuntimeOutput['stream'], Lane>
  #sequence = 0
  #closed = false
  #wake = Promise.withResolvers<void>()

  constructor(limitBytes: number) {
    this.#lanes = { stdout: new Lane(limitBytes), stderr: new Lane(limitBytes) }
  }

  push(stream: RuntimeOutput['stream'], bytes: Uint8Array): void {
    if (this.#closed || bytes.length === 0) return
    // A small view would keep the whole socket buffer behind it alive.
    const own = bytes.length * 2 < bytes.buffer.byteLength ? new Uint8Array(bytes) : bytes
    this.#lanes[stream].push({ sequence: this.#sequence++, bytes: own })
    this.#wake.resolve()
  }

  close(): void {
    this.#closed = true
    this.#wake.resolve()
  }

  /** Everything that is kept, in the order of writing, until {@link close}. One reader. */
  async *read(): AsyncIterable<RuntimeOutput> {
    while (true) {
      const next = this.#take()
      if (next !== undefined) {
        yield next
      } else if (this.#closed) {
        return
      } else {
        await this.#wake.promise
        this.#wake = Promise.withResolvers<void>()
      }
    }
  }

  #take(): RuntimeOutput | undefined {
    const { stdout, stderr } = this.#lanes
    const out = stdout.first()?.sequence ?? Number.POSITIVE_INFINITY
    const err = stderr.first()?.sequence ?? Number.POSITIVE_INFINITY
    const stream = out <= err ? 'stdout' : 'stderr'
    const chunk = this.#lanes[stream].take()
    return chunk === undefined ? undefined : { stream, ...chunk }
  }
}
