import {
  type AttemptEnd,
  type AttemptEvent,
  isTerminal,
  LIMITS,
  TransferRate,
} from '@manyhands/core'
import { JobForecast, type OccupiedSlot } from './job-forecast.ts'
import type { ActivePhase, ActiveTask, JobCounts, JobProgress } from './job-progress.ts'
import { FETCHES } from './output-limits.ts'
import { RecentDurations } from './recent-durations.ts'
import type { LiveAttempt, Task } from './task.ts'
import { Throughput } from './throughput.ts'

/** Fetches of outputs of which the time is remembered. */
const KEPT = 64

/** What a meter has to be told to say how far a job is. */
export interface MeteredJob {
  counts: JobCounts
  unit: string
  /** Tasks that are out. */
  running: Iterable<Task>
  /** Whether waiting tasks are sent out now. */
  dispatching: boolean
}

/** Measures one job: what its tasks do, what is transferred for them, and how long it will go on. */
export class JobMeter {
  bytesUp = 0
  bytesDown = 0
  readonly #up: TransferRate
  readonly #down: TransferRate
  readonly #throughput: Throughput
  readonly #forecast: JobForecast
  /** How long it takes from the end of an attempt to its accepted result. */
  readonly #afterwards = new RecentDurations(KEPT)
  /** Hosts where a task of this job has run: what is staged there stays. */
  readonly #warm = new Set<string>()
  readonly #now: () => number

  /** @param now - monotonic clock, ms */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now
    this.#throughput = new Throughput(now)
    this.#up = new TransferRate(now)
    this.#down = new TransferRate(now)
    this.#forecast = new JobForecast(now)
  }

  /** How long tasks take at a host, ms; undefined when none has ended there. */
  paceAt(host: string): number | undefined {
    return this.#forecast.paceAt(host)
  }

  /** Where tasks of the job ran. */
  get hosts(): Iterable<string> {
    return this.#warm
  }

  /** Whether what all tasks of the job need is at a host. */
  isStaged(host: string): boolean {
    return this.#warm.has(host)
  }

  /** How long tasks usually take, over all hosts; undefined when none has ended. */
  get usualMs(): number | undefined {
    return this.#forecast.usualMs
  }

  sent(bytes: number): void {
    this.bytesUp += bytes
    this.#up.add(bytes)
  }

  received(bytes: number): void {
    this.bytesDown += bytes
    this.#down.add(bytes)
  }

  /** An attempt goes to its host. */
  dispatched(attempt: LiveAttempt): void {
    attempt.cold = !this.#warm.has(attempt.host)
  }

  /** News of an attempt. */
  heard(attempt: LiveAttempt, { phase, transfer, end }: AttemptEvent): void {
    attempt.phase = phase
    attempt.transfer = transfer === undefined ? undefined : () => transfer
    const now = this.#now()
    attempt.timeline[phase] ??= Math.round(now - attempt.sentAt)
    if (phase === 'running') {
      attempt.runningSince ??= now
      this.#warm.add(attempt.host)
    }
    if (end !== undefined) {
      attempt.endedAt ??= now
      // Of a short one nothing is heard before its end; that says how long it ran.
      if (hasRun(end))
        attempt.timeline.running ??= Math.max(0, Math.round(now - attempt.sentAt - end.durationMs))
    }
    if (phase !== 'completed' || end === undefined) return
    this.#warm.add(attempt.host)
    // Inputs that came for the first one at its host do not come again for the next.
    this.#forecast.finished(attempt.host, attempt.cold ? end.durationMs : now - attempt.sentAt)
  }

  /** A result was accepted. */
  completed(task: Task): void {
    this.#throughput.add()
    const endedAt = [...task.attempts.values()].find(
      ({ endedAt }) => endedAt !== undefined,
    )?.endedAt
    if (endedAt !== undefined) this.#afterwards.add(this.#now() - endedAt)
  }

  progress({ counts, unit, running, dispatching }: MeteredJob): JobProgress {
    const phases = { image: 0, inputs: 0, running: 0, outputs: 0 }
    const active: ActiveTask[] = []
    const occupied: OccupiedSlot[] = []
    let outputsMs = 0
    for (const task of running) {
      const attempt = furthest(task)
      if (attempt === undefined) continue
      const one = this.#activity(task, attempt)
      phases[one.phase] += 1
      if (active.length < LIMITS.activeTasksListed) active.push(one)
      if (!isTerminal(attempt.phase)) occupied.push(this.#slot(attempt))
      else outputsMs = Math.max(outputsMs, one.etaMs ?? 0)
    }
    const { rate } = this.#throughput
    const eta = this.#eta({ counts, occupied, outputsMs, dispatching, fetching: phases.outputs })
    return {
      ...counts,
      unit,
      rate,
      bytesUp: this.bytesUp,
      bytesDown: this.bytesDown,
      rateUp: Math.round(this.#up.perSecond),
      rateDown: Math.round(this.#down.perSecond),
      phases,
      active,
      ...(eta === undefined ? {} : { eta }),
    }
  }

  #eta(of: {
    counts: JobCounts
    occupied: OccupiedSlot[]
    outputsMs: number
    dispatching: boolean
    fetching: number
  }): number | undefined {
    const { counts, occupied, outputsMs, fetching } = of
    if (counts.total === undefined || (counts.queued > 0 && !of.dispatching)) return undefined
    const allMs = this.#forecast.allMs(occupied, counts.queued)
    if (allMs === undefined) return undefined
    const last = occupied.length + counts.queued > 0 ? (this.#afterwards.median ?? 0) : 0
    const { rate } = this.#throughput
    // When all lanes are full, the outputs are what everything waits for.
    const left = counts.queued + counts.running
    const crowdedMs = fetching < FETCHES || rate === 0 ? 0 : (left * 1000) / rate
    return Math.round(Math.max(allMs + last, outputsMs, crowdedMs))
  }

  #activity(task: Task, attempt: LiveAttempt): ActiveTask {
    const transfer = attempt.transfer?.()
    const phase = transfer?.phase ?? phaseOf(attempt)
    const etaMs =
      phase === 'running' ? this.#forecast.remainingMs(this.#slot(attempt)) : transfer?.etaMs
    return {
      task: task.key,
      attempt: attempt.id,
      host: attempt.host,
      phase,
      ...(transfer === undefined ? {} : { bytes: transfer.bytes, rate: transfer.rate }),
      ...(transfer?.total === undefined ? {} : { total: transfer.total }),
      ...(etaMs === undefined ? {} : { etaMs: Math.round(etaMs) }),
    }
  }

  #slot({ host, cold, sentAt, runningSince, transfer }: LiveAttempt): OccupiedSlot {
    const now = this.#now()
    const since = cold ? (runningSince ?? now) : sentAt
    const waitMs = runningSince === undefined ? transfer?.().etaMs : undefined
    const elapsedMs = now - since
    if (waitMs === undefined) return { host, elapsedMs }
    return { host, elapsedMs: cold ? -waitMs : elapsedMs, waitMs }
  }
}

function phaseOf({ phase }: LiveAttempt): ActivePhase {
  if (phase === 'offered' || phase === 'staging') return 'inputs'
  return phase === 'running' || phase === 'paused' ? 'running' : 'outputs'
}

const ORDER: ActivePhase[] = ['image', 'inputs', 'running', 'outputs']

/** Of several attempts of a task, the one that is nearest to its end. */
function furthest(task: Task): LiveAttempt | undefined {
  return task.running.reduce<LiveAttempt | undefined>(
    (best, attempt) =>
      best === undefined || ORDER.indexOf(phaseOf(attempt)) > ORDER.indexOf(phaseOf(best))
        ? attempt
        : best,
    undefined,
  )
}

/** Whether an attempt came so far that its program ran. */
const hasRun = ({ exitCode, signal }: AttemptEnd) => (exitCode ?? signal) !== undefined
