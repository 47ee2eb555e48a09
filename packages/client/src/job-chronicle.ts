import { type Clock, LIMITS } from '@manyhands/core'
import { EventLog } from './event-log.ts'
import type { JobEvent } from './job-event.ts'
import type { JobProgress } from './job-progress.ts'
import { LostOutput } from './lost-output.ts'

type Distribute<Event> = Event extends unknown ? Omit<Event, 'seq' | 'time' | 'job'> : never
/** An event before it has its place and time. */
export type JobNews = Distribute<JobEvent>

/** What is told of one job: a bounded history, and how far it is. */
export class JobChronicle {
  readonly log: EventLog<JobEvent>
  /** What of the tasks' output is not in the log any more. */
  readonly lostOutput = new LostOutput()
  readonly #job: string
  readonly #clock: Clock
  /** The moment of the last event, and its text: many happen in one millisecond. */
  #at = Number.NaN
  #time = ''
  #due = false
  #ended = false

  constructor(job: string, clock: Clock, progress: () => JobProgress) {
    this.#job = job
    this.#clock = clock
    const limits = {
      events: LIMITS.eventsBuffered,
      bytes: LIMITS.eventBytesBuffered,
      bytesOf,
      forgot: (events: JobEvent[]) => this.lostOutput.forgot(events),
    }
    this.log = new EventLog<JobEvent>(
      limits,
      (seq, missed) => ({ ...this.#about(seq), kind: 'gap', missed }),
      (seq) => ({ ...this.#about(seq), kind: 'progress', progress: progress() }),
    )
  }

  tell(event: JobNews): void {
    this.log.append((seq) => ({ ...event, ...this.#about(seq) }) as JobEvent)
    if (event.kind !== 'log') this.progressed()
  }

  /** Something that progress shows has changed. */
  progressed(): void {
    if (this.#due || this.#ended) return
    this.#due = true
    this.#clock.after(LIMITS.progressMs, () => {
      this.#due = false
      if (!this.#ended) this.log.renew()
    })
  }

  end(): void {
    this.#ended = true
    this.log.end()
  }

  /** It goes on after all. */
  reopen(): void {
    this.#ended = false
    this.log.reopen()
  }

  #about(seq: number) {
    const date = this.#clock.date()
    if (date.getTime() !== this.#at) {
      this.#at = date.getTime()
      this.#time = date.toISOString()
    }
    return { seq, time: this.#time, job: this.#job }
  }
}

/** About what a receipt keeps: its digests, and its way in the batch. */
const RECEIPT_BYTES = 3072

/** What an event keeps in memory: its texts, and something for the rest. */
function bytesOf(event: JobEvent): number {
  if (event.kind === 'log') return 256 + event.text.length
  if (event.kind === 'output') return 512 + event.path.length
  if (event.kind !== 'task' || event.result === undefined) return 256
  const { stdoutTail, stderrTail, receipt } = event.result
  return 1024 + stdoutTail.length + stderrTail.length + (receipt === undefined ? 0 : RECEIPT_BYTES)
}
