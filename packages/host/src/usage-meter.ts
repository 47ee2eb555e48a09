import type { Attempt } from './attempt.ts'
import type { UsageSample } from './usage-totals.ts'

/** Samples a second: what the owner is promised. */
const PERIOD_MS = 1000
/** Samples that a late reader may be behind before it misses some. */
const BUFFERED = 256

/** Measures every running attempt once a second, while there is one. */
export class UsageMeter {
  readonly #running: () => Iterable<Attempt>
  readonly #measured: (attempt: Attempt) => void
  readonly #readers = new Set<(sample: UsageSample) => void>()
  readonly #closing = new AbortController()
  readonly #timer: NodeJS.Timeout
  #sampling = false

  /** @param measured - called after each sample of an attempt */
  constructor(running: () => Iterable<Attempt>, measured: (attempt: Attempt) => void) {
    this.#running = running
    this.#measured = measured
    this.#timer = setInterval(() => void this.#sample(), PERIOD_MS)
    this.#timer.unref()
  }

  /** Samples from now on. */
  async *samples(filter: { attempt?: string; signal?: AbortSignal }): AsyncGenerator<UsageSample> {
    const buffer: UsageSample[] = []
    const stop = AbortSignal.any([this.#closing.signal, ...(filter.signal ? [filter.signal] : [])])
    let wake: (() => void) | undefined
    const reader = (sample: UsageSample) => {
      if (filter.attempt !== undefined && filter.attempt !== sample.attempt) return
      buffer.push(sample)
      if (buffer.length > BUFFERED) buffer.shift()
      wake?.()
    }
    const stopped = () => wake?.()
    this.#readers.add(reader)
    stop.addEventListener('abort', stopped)
    try {
      while (!stop.aborted) {
        const sample = buffer.shift()
        if (sample !== undefined) {
          yield sample
          continue
        }
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
    } finally {
      this.#readers.delete(reader)
      stop.removeEventListener('abort', stopped)
    }
  }

  /** Measures one attempt now, for its last word. */
  async measure(attempt: Attempt): Promise<void> {
    const task = attempt.runtimeTask
    if (task === undefined) return
    try {
      const usage = await task.stats()
      attempt.usage = {
        ...usage,
        elapsedMs: Math.round(attempt.runMs),
        memoryPeak: Math.max(usage.memoryPeak, attempt.usage.memoryPeak),
      }
    } catch {
      // An engine that does not answer is the runtime's affair; the last sample stays.
    }
  }

  close(): void {
    clearInterval(this.#timer)
    this.#closing.abort()
  }

  async #sample(): Promise<void> {
    // An engine that hangs delays the next round instead of piling up questions.
    if (this.#sampling) return
    this.#sampling = true
    try {
      await this.#sampleAll()
    } finally {
      this.#sampling = false
    }
  }

  async #sampleAll(): Promise<void> {
    for (const attempt of this.#running()) {
      if (attempt.phase !== 'running' && attempt.phase !== 'paused') continue
      await this.measure(attempt)
      if (attempt.over) continue
      this.#measured(attempt)
      const sample = {
        ...attempt.usage,
        attempt: attempt.id,
        client: attempt.client,
        job: attempt.job,
      }
      for (const reader of this.#readers) reader(sample)
    }
  }
}
