import { createHash } from 'node:crypto'
import {
  type AttemptPhase,
  assertTransition,
  type TaskPhase,
  type TransferProgress,
  type WireInput,
} from '@manyhands/core'
import { AttemptArrivals } from './attempt-arrivals.ts'
import { AttemptLog } from './attempt-log.ts'

/** How long a task keeps away from a host whose owner ended it there. */
const KEEP_AWAY_MS = 60_000

/** What one task says differently from its job, resolved: no local paths any more. */
export interface TaskOverrides {
  command?: string[]
  args?: string[]
  env?: Record<string, string>
  inputs?: WireInput[]
  outputs?: string[]
}

/** One attempt of a task that has not been settled. */
export interface LiveAttempt {
  readonly id: string
  readonly host: string
  /** Its lease ended without news; a late result may still win. */
  lost: boolean
  /** The client ended it: whatever comes is not counted. */
  canceled: boolean
  /** When the host's yes arrived, monotonic ms. */
  acceptedAt: number | undefined
  /** When the host last named it in a renewal, monotonic ms. */
  renewedAt: number
  /** What it writes, as it comes. */
  readonly log: AttemptLog
  /** What it has completed below /out, as it comes. */
  readonly arrivals: AttemptArrivals
  /** Whether it counts in its job's attempts per host. */
  counted: boolean
  readonly sentAt: number
  /** What its host said last. */
  phase: AttemptPhase
  /** What it waits for: its host brings it there, or this client fetches its outputs. */
  transfer: (() => TransferProgress) | undefined
  /** The first of its job at its host, as far as was known when it was sent. */
  cold: boolean
  /** When it was first said to run, and when its end came; monotonic ms. */
  runningSince: number | undefined
  endedAt: number | undefined
}

/** A task that is not over, in memory. What is over is in the journal alone. */
export class Task {
  readonly index: number
  readonly key: string
  /** Unique over all jobs and clients: the first part of its attempts' ids. */
  readonly fingerprint: string
  readonly item: unknown
  readonly overrides: TaskOverrides
  epoch = 0
  /** Attempts that hosts accepted, whatever became of them. */
  dispatches = 0
  /** Times the task's own failure ended an attempt. */
  failures = 0
  /** Hosts that vanished under it. */
  readonly deaths = new Set<string>()
  /** Hosts that already failed it: asked again only when nobody else is there. */
  readonly avoid = new Set<string>()
  /** Hosts whose owners took the computer back from it, and until when it keeps away, monotonic ms. */
  readonly #evictedBy = new Map<string, number>()
  readonly attempts = new Map<string, LiveAttempt>()
  #phase: TaskPhase = 'queued'

  constructor(job: string, index: number, key: string, item: unknown, overrides: TaskOverrides) {
    this.index = index
    this.key = key
    this.item = item
    this.overrides = overrides
    this.fingerprint = createHash('sha256').update(`${job}\0${key}`).digest('hex').slice(0, 24)
  }

  /** The owner took the computer back: for a while it goes there only when nobody else is there. */
  evicted(host: string): void {
    this.#evictedBy.set(host, performance.now() + KEEP_AWAY_MS)
  }

  keepsAwayFrom(host: string): boolean {
    return (this.#evictedBy.get(host) ?? 0) > performance.now()
  }

  /** Whether any host is worse for it than another. */
  get choosy(): boolean {
    return this.avoid.size > 0 || this.#evictedBy.size > 0
  }

  get phase(): TaskPhase {
    return this.#phase
  }

  /** Attempts that may still end well by themselves. */
  get running(): LiveAttempt[] {
    return [...this.attempts.values()].filter((attempt) => !attempt.lost && !attempt.canceled)
  }

  /** @throws INTERNAL for a step that the table of phases does not have */
  move(to: TaskPhase): void {
    assertTransition('task', this.#phase, to, this.key)
    this.#phase = to
  }

  nextAttempt(host: string): LiveAttempt {
    this.epoch += 1
    const attempt: LiveAttempt = {
      id: `${this.fingerprint}.${this.epoch}`,
      host,
      lost: false,
      canceled: false,
      acceptedAt: undefined,
      renewedAt: performance.now(),
      log: new AttemptLog(),
      arrivals: new AttemptArrivals(),
      counted: false,
      sentAt: performance.now(),
      phase: 'offered',
      transfer: undefined,
      cold: false,
      runningSince: undefined,
      endedAt: undefined,
    }
    this.attempts.set(attempt.id, attempt)
    return attempt
  }
}
