import type { Attempt } from './attempt.ts'
import type { UsageSample } from './usage-totals.ts'

/** Samples a second: what the owner is promised. */
const PERIOD_MS = 1000
/** Samples that a late reader may be behind before it misses some. */
const BUFFERED = 256
/** Questions that one runtime is asked at once. */
const ASKED_AT_ONCE = 32
/** How long the end of an attempt waits for its last sample, ms. */
const LAST_SAMPLE_MS = 2_000

/**
 * Measures every running attempt once a second, while there is one. Attempts are asked side by side, and
 * one that does not answer is not asked again until it does: it delays nobody else.
 */
export class UsageMeter {
  readonly #running: () => Iterable<Attempt>
  readonly #measured: (attempt: Attempt, sample: UsageSample) => void
  readonly #readers = new Set<(sample: UsageSample) => void>()
  readonly #closing = new AbortController()
  readonly #timer: NodeJS.Timeout
  /** Attempts that were asked and have not answered, by runtime. */
  readonly #asked = new Map<string, Set<Attempt>>()
  /** Attempts whose turn of this second has not come. */
  #waiting: Attempt[] = []

  /** @param measured - called after each sample of an attempt that is not over */
  constructor(
    running: () => Iterable<Attempt>,
    measured: (attempt: Attempt, sample: UsageSample) => void,
  ) {
    this.#running = running
    this.#measured = measured
    this.#timer = setInterval(() => this.#round(), PERIOD_MS)
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

  /** Measures one attempt now, for its last word; an engine that hangs does not hold it up. */
  async last(attempt: Attempt): Promise<void> {
    let late: NodeJS.Timeout | undefined
    const tooLate = new Promise<void>((resolve) => {
      late = setTimeout(resolve, LAST_SAMPLE_MS).unref()
    })
    await Promise.race([measure(attempt), tooLate])
    clearTimeout(late)
  }

  close(): void {
    clearInterval(this.#timer)
    this.#waiting = []
    this.#closing.abort()
  }

  #round(): void {
    // Those whose turn did not come in the last second are first in this one.
    const due = new Set(this.#waiting.filter(measurable))
    for (const attempt of this.#running()) if (measurable(attempt)) due.add(attempt)
    this.#waiting = [...due]
    this.#ask()
  }

  #ask(): void {
    const later: Attempt[] = []
    for (const attempt of this.#waiting) {
      const { runtime } = attempt.spec
      const asked = this.#asked.get(runtime) ?? new Set()
      this.#asked.set(runtime, asked)
      if (asked.has(attempt)) continue
      if (asked.size >= ASKED_AT_ONCE) {
        later.push(attempt)
        continue
      }
      asked.add(attempt)
      void this.#sample(attempt).finally(() => {
        asked.delete(attempt)
        if (this.#waiting.length > 0) this.#ask()
      })
    }
    this.#waiting = later
  }

  async #sample(attempt: Attempt): Promise<void> {
    await measure(attempt)
    if (!measurable(attempt) || this.#closing.signal.aborted) return
    attempt.history.push(attempt.usage)
    const sample = {
      ...attempt.usage,
      attempt: attempt.id,
      client: attempt.client,
      job: attempt.job,
    }
    this.#measured(attempt, sample)
    for (const reader of this.#readers) reader(sample)
  }
}

function measurable({ phase }: Attempt): boolean {
  return phase === 'running' || phase === 'paused'
}

async function measure(attempt: Attempt): Promise<void> {
  try {
    const usage = await attempt.runtimeTask?.stats()
    if (usage === undefined) return
    attempt.sandboxMs = usage.elapsedMs
    attempt.usage = {
      ...usage,
      elapsedMs: Math.round(attempt.runMs),
      memoryPeak: Math.max(usage.memoryPeak, attempt.usage.memoryPeak),
    }
  } catch {
    // An engine that does not answer is the runtime's affair; the last sample stays.
  }
}
