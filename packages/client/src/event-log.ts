/**
 * A bounded history that can be followed from any point. A reader that is too late learns how many it
 * missed; a slow reader costs nothing.
 */
export class EventLog<Event extends { seq: number }> {
  readonly #limit: number
  readonly #events: Event[] = []
  readonly #gap: (seq: number, missed: number) => Event
  #first = 1
  #next = 1
  #ended = false
  #waiting: (() => void)[] = []

  /** @param gap - makes the marker for events that are gone */
  constructor(limit: number, gap: (seq: number, missed: number) => Event) {
    this.#limit = limit
    this.#gap = gap
  }

  /** Number of the newest event; 0 before the first. */
  get last(): number {
    return this.#next - 1
  }

  append(make: (seq: number) => Event): void {
    this.#events.push(make(this.#next))
    this.#next += 1
    if (this.#events.length > this.#limit * 2) {
      this.#first += this.#events.length - this.#limit
      this.#events.splice(0, this.#events.length - this.#limit)
    }
    this.#wake()
  }

  /** Nothing more will come. */
  end(): void {
    this.#ended = true
    this.#wake()
  }

  async *read(since = 0, signal?: AbortSignal): AsyncGenerator<Event> {
    let at = since + 1
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

  #wake(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const resolve of waiting) resolve()
  }
}
