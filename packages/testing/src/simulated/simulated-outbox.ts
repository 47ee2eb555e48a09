import { type AttemptEvent, type Clock, encodeDocument, type FrameStream } from '@manyhands/core'
import type { SimulatedAttempt } from './simulated-attempt.ts'

/** Events in one frame: each is at most about 40 KiB. */
const EVENTS = 16

/** What the client of one job hears of its attempts: the latest of each, and ends until they are acknowledged. */
export class SimulatedOutbox {
  readonly #clock: Clock
  readonly #ends = new Map<string, AttemptEvent>()
  readonly #pending = new Map<string, AttemptEvent>()
  #stream: FrameStream | undefined
  #due = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  tell(attempt: SimulatedAttempt): void {
    const { id, phase, end } = attempt
    const event: AttemptEvent = { attempt: id, seq: attempt.nextSeq(), phase }
    if (end !== undefined) {
      event.end = end
      event.stdout = end.stdoutTail
      event.stderr = end.stderrTail
      event.stdoutAt = 0
      event.stderrAt = 0
      this.#ends.set(id, event)
    }
    this.#pending.set(id, event)
    this.#flushSoon()
  }

  acknowledged(id: string): void {
    this.#ends.delete(id)
    this.#pending.delete(id)
  }

  /** Tells it on a stream until that ends or another takes its place. */
  async feed(stream: FrameStream, live: Iterable<SimulatedAttempt>): Promise<void> {
    this.#stream?.abort()
    this.#stream = stream
    for (const [id, event] of this.#ends) this.#pending.set(id, event)
    for (const attempt of live) if (!attempt.over) this.tell(attempt)
    this.#flushSoon()
    try {
      // A client says nothing more; that it hangs up is all there is to hear.
      for await (const _ of stream);
    } finally {
      if (this.#stream === stream) this.#stream = undefined
    }
  }

  /** Whatever else happens in this moment travels in the same frame. */
  #flushSoon(): void {
    if (this.#due) return
    this.#due = true
    this.#clock.after(0, () => {
      this.#due = false
      this.#flush()
    })
  }

  #flush(): void {
    const stream = this.#stream
    if (stream === undefined) return
    const events = [...this.#pending.values()]
    this.#pending.clear()
    for (let at = 0; at < events.length; at += EVENTS) {
      const frame = encodeDocument(events.slice(at, at + EVENTS))
      // Cut on its way, ends are told again on the next one.
      stream.send(frame).catch(() => {})
    }
  }
}
