export interface EventLogLimits<Event> {
  events: number
  bytes: number
  /** About how much memory an event takes. */
  bytesOf(event: Event): number
  /** Hears of events that are kept no longer, before any reader misses them. */
  forgot?(events: Event[]): void
}

/**
 * A bounded history that can be followed from any point. A reader that is too late learns how many it
 * missed; a slow reader costs nothing. Beside it there may be news that is not history: readers that have
 * read everything get what it is at that moment.
 */
export class EventLog<Event extends { seq: number }> {
  readonly #limits: EventLogLimits<Event>
  readonly #events: Event[] = []
  #bytes = 0
  readonly #gap: (seq: number, missed: number) => Event
  readonly #latest: ((seq: number) => Event) | undefined
  /** How often there was news. */
  #news = 0
  #first = 1
  #next = 1
  #ended = false
  #waiting: (() => void)[] = []

  /**
   * @param gap - makes the marker for events that are gone
   * @param latest - says what the news is, after the event with this number
   */
  constructor(
    limits: EventLogLimits<Event>,
    gap: (seq: number, missed: number) => Event,
    latest?: (seq: number) => Event,
  ) {
    this.#limits = limits
    this.#gap = gap
    this.#latest = latest
  }

  /** Number of the newest event; 0 before the first. */
  get last(): number {
    return this.#next - 1
  }

  append(make: (seq: number) => Event): void {
    const event = make(this.#next)
    this.#events.push(event)
    this.#next += 1
    this.#bytes += this.#limits.bytesOf(event)
    // Half at a time, so that forgetting costs nothing per event.
    if (this.#events.length > this.#limits.events || this.#bytes > this.#limits.bytes) {
      this.#forgetHalf()
    }
    this.#wake()
  }

  /** What `latest` says has changed. */
  renew(): void {
    this.#news += 1
    this.#wake()
  }

  /** Nothing more will come. */
  end(): void {
    this.#ended = true
    this.#wake()
  }

  /** More will come after all. */
  reopen(): void {
    this.#ended = false
  }

  async *read(since = 0, signal?: AbortSignal): AsyncGenerator<Event> {
    let at = since + 1
    let news = this.#news
    while (true) {
      signal?.throwIfAborted()
      if (at < this.#first) {
        yield this.#gap(this.#first - 1, this.#first - at)
        at = this.#first
      }
      const event = this.#events[at - this.#first]
      if (event !== undefined) {
        at += 1
        yield event
        continue
      }
      if (this.#ended) return
      if (news !== this.#news && this.#latest !== undefined) {
        news = this.#news
        yield this.#latest(at - 1)
        continue
      }
      await new Promise<void>((resolve) => {
        const woken = () => {
          signal?.removeEventListener('abort', woken)
          resolve()
        }
        this.#waiting.push(woken)
        signal?.addEventListener('abort', woken, { once: true })
      })
    }
  }

  #forgetHalf(): void {
    const forgotten = this.#events.splice(0, Math.floor(this.#events.length / 2))
    this.#first += forgotten.length
    this.#limits.forgot?.(forgotten)
    for (const event of forgotten) this.#bytes -= this.#limits.bytesOf(event)
  }

  #wake(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const resolve of waiting) resolve()
  }
}
