import { hash } from 'node:crypto'
import {
  type AttemptPhase,
  type AttemptTimeline,
  assertTransition,
  type Checkpoint,
  type Clock,
  type TaskPhase,
  type TransferProgress,
  type WireInput,
} from '@manyhands/core'
import { AttemptArrivals } from './attempt-arrivals.ts'
import { AttemptLog } from './attempt-log.ts'
import type { TaskRow } from './journal/task-rows.ts'
import type { Chunk } from './split-range.ts'
import type { TakenBytes, TakenInput } from './taken-input.ts'

/** How long a task keeps away from a host whose owner ended it there. */
const KEEP_AWAY_MS = 60_000

/** What the inputs of one task alone are held for: a task, or a part of a range that may be cut again. */
export function inputsOwner({ index, key, chunk }: Pick<Task, 'index'> & Partial<Task>): string {
  return chunk === undefined ? `task ${index}` : `part ${key}`
}

/** What one task says differently from its job, resolved: no local paths any more. */
export interface TaskOverrides {
  command?: string[]
  args?: string[]
  env?: Record<string, string>
  inputs?: WireInput[]
  outputs?: string[]
  /** Inputs that other tasks write. */
  taken?: TakenInput[]
}

/** One attempt of a task that has not been settled. */
export interface LiveAttempt {
  readonly id: string
  readonly epoch: number
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
  /** All its inputs, where some come from other tasks. */
  inputs: WireInput[] | undefined
  /** The checkpoint that it begins with. */
  restore: Checkpoint | undefined
  /** What its host said last. */
  phase: AttemptPhase
  /** What it waits for: its host brings it there, or this client fetches its outputs. */
  transfer: (() => TransferProgress) | undefined
  /** The first of its job at its host, as far as was known when it was sent. */
  cold: boolean
  /** When each phase of it was first heard of, ms since it was sent. */
  readonly timeline: AttemptTimeline
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
  item: unknown
  readonly overrides: TaskOverrides
  /** Of a job that is cut: which part of its range it is. */
  chunk: Chunk | undefined
  /** It is run to check the result of another one of its key. */
  readonly checks: boolean
  /** What it was given is not right any more: nothing of it is taken. */
  revoked = false
  /** It has left a part of its range to others. */
  shortened = false
  epoch: number
  /** Attempts that hosts accepted, whatever became of them. */
  dispatches: number
  /** Times the task's own failure ended an attempt. */
  failures: number
  /** What it takes of other tasks, as far as it was looked up since it waits. */
  takenBytes: TakenBytes | undefined
  /** Times its inputs could not be had where it was sent. */
  starved = 0
  /** Hosts at which it has failed by itself. */
  readonly failedAt = new Set<string>()
  /** Hosts that vanished under it. */
  readonly deaths = new Set<string>()
  /** Hosts that already failed it: asked again only when nobody else is there. */
  readonly avoid = new Set<string>()
  /** Hosts whose owners took the computer back from it, and until when it keeps away, monotonic ms. */
  readonly #evictedBy = new Map<string, number>()
  readonly attempts = new Map<string, LiveAttempt>()
  readonly #clock: Clock
  #phase: TaskPhase

  constructor(
    row: Pick<TaskRow, 'index' | 'key' | 'phase' | 'epoch' | 'dispatches' | 'failures'>,
    parts: {
      job: string
      item: unknown
      overrides: TaskOverrides
      clock: Clock
      chunk?: Chunk
      /** What hosts cannot know: no attempt shows what it is for. */
      salt?: string
      /** Of a check: what tells it from all others. */
      check?: string
      /** Its attempts have higher numbers: those up to here were another client's. */
      lastEpoch?: number
    },
  ) {
    const { job, item, overrides, clock, salt, check } = parts
    this.checks = check !== undefined
    this.chunk = parts.chunk
    this.index = row.index
    this.key = row.key
    this.item = item
    this.overrides = overrides
    this.epoch = Math.max(row.epoch, parts.lastEpoch ?? 0)
    this.dispatches = row.dispatches
    this.failures = row.failures
    const named = [job, row.key]
    // A part of a range may be cut again after it was given up: it is another task then.
    if (parts.chunk !== undefined) named.push(`${row.index}`)
    if (salt !== undefined) named.push(salt)
    if (check !== undefined) named.push(`${check}`)
    this.fingerprint = hash('sha256', named.join('\0'), 'hex').slice(0, 24)
    this.#clock = clock
    this.#phase = row.phase
  }

  /** The owner took the computer back: for a while it goes there only when nobody else is there. */
  evicted(host: string): void {
    this.#evictedBy.set(host, this.#clock.now() + KEEP_AWAY_MS)
  }

  /** Its place in the input, from 0: of the first number, when it stands for several. */
  get place(): number {
    return this.chunk?.first ?? this.index
  }

  keepsAwayFrom(host: string): boolean {
    return (this.#evictedBy.get(host) ?? 0) > this.#clock.now()
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
    return this.#attempt(this.epoch, host)
  }

  /** An attempt that an earlier owner of the job sent out, and that a host still has. */
  adoptAttempt(
    epoch: number,
    host: string,
    given: { inputs?: WireInput[] | undefined; restore?: Checkpoint | undefined },
  ): LiveAttempt {
    const attempt = this.#attempt(epoch, host)
    attempt.inputs = given.inputs
    attempt.restore = given.restore
    attempt.acceptedAt = attempt.sentAt
    return attempt
  }

  /** An attempt that an earlier process sent out: its host may have it, or its end. */
  restoreAttempt([epoch, host, inputs, restore, lost]: TaskRow['live'][number]): LiveAttempt {
    const attempt = this.#attempt(epoch, host)
    attempt.inputs = inputs ?? undefined
    attempt.restore = restore ?? undefined
    attempt.lost = lost !== undefined
    attempt.acceptedAt = attempt.sentAt
    return attempt
  }

  #attempt(epoch: number, host: string): LiveAttempt {
    const now = this.#clock.now()
    const attempt: LiveAttempt = {
      id: `${this.fingerprint}.${epoch}`,
      epoch,
      host,
      lost: false,
      canceled: false,
      acceptedAt: undefined,
      renewedAt: now,
      log: new AttemptLog(),
      arrivals: new AttemptArrivals(),
      counted: false,
      sentAt: now,
      inputs: undefined,
      restore: undefined,
      phase: 'offered',
      transfer: undefined,
      cold: false,
      timeline: { offered: 0 },
      runningSince: undefined,
      endedAt: undefined,
    }
    this.attempts.set(attempt.id, attempt)
    return attempt
  }
}
