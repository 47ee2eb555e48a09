import type { LogLine } from './job.ts'
import type { JobEvent } from './job-event.ts'

/** Streams of attempts that are remembered one by one. */
const STREAMS = 4096

interface LostStream extends Pick<LogLine, 'task' | 'attempt' | 'stream'> {
  /** Bytes of it that had been told up to there. */
  upTo: number
  /** The last event of it that is gone. */
  seq: number
}

/** What readers of a job's output have heard, by attempt and stream: bytes. */
export type Heard = Map<string, number>

export function streamKey({ attempt, stream }: Pick<LogLine, 'attempt' | 'stream'>): string {
  return `${attempt} ${stream}`
}

/**
 * What is gone of a job's history of output, so that a reader that comes too late can be told how much it
 * lost, and of what.
 */
export class LostOutput {
  readonly #streams = new Map<string, LostStream>()
  /** Of streams that are not remembered: in all, and the last event of them. */
  #others = { bytes: 0, seq: 0 }

  /** These events are kept no longer. */
  forgot(events: JobEvent[]): void {
    for (const event of events) {
      if (event.kind !== 'log') continue
      const { task, attempt, stream, upTo, seq } = event
      const key = streamKey(event)
      this.#streams.delete(key)
      this.#streams.set(key, { task, attempt, stream, upTo, seq })
    }
    for (const [key, { upTo, seq }] of this.#streams) {
      if (this.#streams.size <= STREAMS) break
      this.#streams.delete(key)
      this.#others.bytes += upTo
      this.#others.seq = Math.max(this.#others.seq, seq)
    }
  }

  /**
   * Markers for a reader that has read up to an event and comes back now. What it has `heard` is brought
   * up to date.
   */
  *since(seq: number, heard: Heard, task: string | undefined): Generator<LogLine> {
    if (this.#others.seq > seq) {
      const { bytes: gap } = this.#others
      yield { task: task ?? '', attempt: '', stream: 'stdout', text: '', gap }
    }
    for (const [key, lost] of this.#streams) {
      if (lost.seq <= seq || (task !== undefined && lost.task !== task)) continue
      const gap = lost.upTo - (heard.get(key) ?? 0)
      heard.set(key, lost.upTo)
      const { attempt, stream } = lost
      if (gap > 0) yield { task: lost.task, attempt, stream, text: '', gap }
    }
  }
}
