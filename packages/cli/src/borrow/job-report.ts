import type { Job, JobSummary } from '@manyhands/client'
import { type AttemptPhase, isTerminal, LIMITS, type TaskResult } from '@manyhands/core'
import type { Output } from '../output.ts'
import {
  type AttemptEvent,
  attemptLine,
  type CheckEvent,
  type CheckpointEvent,
  checkLine,
  checkpointLine,
  type ImageEvent,
  imageLine,
  jobLine,
  type OutputEvent,
  outputLine,
  progressLine,
  taskLine,
} from './job-lines.ts'
import { KEPT_FAILURES, progressText, summaryText } from './progress-bar.ts'
import type { FailureTally } from './run-exit.ts'

/** Where nobody watches, a line now and then is enough. */
const PLAIN_MS = 5000

/** Tells people and scripts about a job while it runs, and how it ended. */
export class JobReport {
  readonly #job: Job
  readonly #output: Output
  readonly #timer: NodeJS.Timeout
  readonly #failures: TaskResult[] = []
  /** Attempts that are not over. */
  readonly #attempts = new Map<string, { host: string; phase: AttemptPhase }>()
  readonly #tasks: object[] = []
  readonly tally: FailureTally = { failed: 0, timedOut: 0 }
  #last = ''
  #plainAt = performance.now()

  constructor(job: Job, output: Output) {
    this.#job = job
    this.#output = output
    output.event('submitted', { job: job.id, name: job.name, ...job.counts })
    // At most four progress lines a second; scripts rely on it.
    this.#timer = setInterval(() => this.#progress(), LIMITS.progressMs)
    this.#timer.unref()
  }

  attempt(event: AttemptEvent): void {
    const { attempt, host, phase } = event
    // Every second an attempt tells its usage; a line is written when its phase has changed. Where it began is
    // said once, and its host may have told of it before that.
    const known = this.#attempts.get(attempt)?.phase === phase
    if (known && event.startedFrom === undefined) return
    if (isTerminal(phase)) this.#attempts.delete(attempt)
    else this.#attempts.set(attempt, { host, phase })
    this.#output.event('attempt', attemptLine(event))
  }

  /** A file came while its task runs; `saved` is where it is. */
  output(event: OutputEvent, saved: string | undefined): void {
    this.#output.event('output', outputLine(event, saved))
  }

  checkpoint(event: CheckpointEvent): void {
    this.#output.event('checkpoint', checkpointLine(event))
  }

  image(event: ImageEvent): void {
    this.#output.event('image', imageLine(event))
    if (this.#output.format !== 'text' || event.phase !== 'exporting') return
    this.#output.say(`exporting image ${event.image}, which a host lacks`)
  }

  check(event: CheckEvent): void {
    this.#output.event('check', checkLine(event))
    if (this.#output.format !== 'text' || event.wrong.length === 0) return
    this.#output.say(`task ${event.task}: ${event.wrong.join(', ')} gave a wrong result`)
  }

  gap(missed: number): void {
    this.#output.event('gap', { job: this.#job.id, missed })
  }

  task(result: TaskResult, saved: string | undefined): void {
    if (!result.ok && !result.canceled) {
      this.tally.failed += 1
      if (result.timedOut) this.tally.timedOut += 1
      if (this.#failures.length < KEPT_FAILURES) this.#failures.push(result)
    }
    const line = taskLine(result, saved)
    this.#output.event('task', line)
    if (this.#output.format === 'json') this.#tasks.push(line)
    this.#output.data(result.stdoutTail)
    this.#draw()
  }

  /** The last word. */
  end(summary: JobSummary): void {
    this.stop()
    const line = jobLine(summary)
    this.#output.event('job', line)
    this.#output.document({ v: 1, time: new Date().toISOString(), ...line, tasks: this.#tasks })
    if (this.#output.format !== 'text') return
    const { unit } = this.#job.progress
    this.#output.say(summaryText(summary, unit, this.#failures, this.#output))
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#output.draw('')
  }

  get #hosts(): number {
    return new Set([...this.#attempts.values()].map(({ host }) => host)).size
  }

  #progress(): void {
    if (this.#output.format === 'text') {
      this.#draw()
      return
    }
    const line = progressLine(this.#job.id, this.#job.progress, this.#hosts)
    const text = JSON.stringify(line)
    if (text === this.#last) return
    this.#last = text
    this.#output.event('progress', line)
  }

  #draw(): void {
    if (this.#output.format !== 'text') return
    const now = performance.now()
    if (!this.#output.live && now - this.#plainAt < PLAIN_MS) return
    this.#plainAt = now
    const text = progressText(this.#job.progress, this.#hosts, this.#output.columns)
    if (this.#output.live) this.#output.draw(text)
    else this.#output.say(text)
  }
}
