import { formatDuration, type Logger, ManyhandsError } from '@manyhands/core'
import type { Attempt, EndIntent } from './attempt.ts'
import type { AttemptControl } from './attempt-control.ts'
import type { Schedule } from './policy-book.ts'
import { judgeSchedule, type ScheduleVerdict } from './schedule-verdicts.ts'
import type { HostSensors } from './sensors.ts'

export interface ScheduleKeeperOptions {
  /** The schedule in force. */
  schedule(): Schedule
  sensors: HostSensors
  control: Pick<AttemptControl, 'pause' | 'resume'>
  /** Attempts that are not over. */
  live(): Attempt[]
  end(attempts: Attempt[], intent: EndIntent): Promise<void>
  /** It opened or closed. */
  changed(): void
  logger: Logger
}

/** Until the first look nobody knows, so nothing is lent. */
const NOT_LOOKED: ScheduleVerdict = {
  rule: 'schedule.hours',
  allowed: false,
  detail: 'the schedule was not looked at yet',
  reason: 'the schedule was not looked at yet',
  temporary: true,
}

/**
 * Lends this computer only when its schedule allows. What runs when it closes is paused, and goes on when
 * it opens; what stands still for longer than `evictAfter` is evicted, so that its task moves on. Its
 * pauses are its own: it never ends one of the owner's, nor the owner one of these.
 */
export class ScheduleKeeper {
  readonly #options: ScheduleKeeperOptions
  /** Since when an attempt is not wanted because of the schedule, monotonic ms. */
  readonly #closedSince = new WeakMap<Attempt, number>()
  /** Attempts that are being paused or thawed now. */
  readonly #working = new Map<Attempt, Promise<void>>()
  #verdicts: ScheduleVerdict[] = [NOT_LOOKED]
  #looking: Promise<unknown> | undefined

  constructor(options: ScheduleKeeperOptions) {
    this.#options = options
  }

  /** What each setting said at the last look. */
  get verdicts(): readonly ScheduleVerdict[] {
    return this.#verdicts
  }

  /** Why nothing is lent now, or undefined when it is. */
  get closed(): string | undefined {
    const refusing = this.#verdicts.find(({ allowed }) => !allowed)
    return refusing === undefined ? undefined : `schedule: ${refusing.reason}`
  }

  /**
   * Looks at the computer, and acts on what it sees without waiting for engines: to be called every
   * second. Never rejects.
   */
  async tick(): Promise<void> {
    // A sensor that hangs delays the next look instead of piling up questions.
    if (this.#looking === undefined) await this.#look()
  }

  /** After a change of the schedule: looks again, and resolves when it is acted on. Never rejects. */
  async apply(): Promise<void> {
    // What a look that is under way sees may be older than the change.
    while (this.#looking !== undefined) await this.#looking
    await (await this.#look()).acted
  }

  /** An attempt began to run: it may have been on its way when the schedule closed. */
  started(attempt: Attempt): void {
    const reason = this.closed
    if (reason !== undefined) void this.#hold(attempt, reason)
  }

  async #look(): Promise<{ acted: Promise<unknown> }> {
    const { schedule, sensors, changed } = this.#options
    const looking = judgeSchedule(schedule(), sensors)
    this.#looking = looking
    const verdicts = await looking
    this.#looking = undefined
    const [before, first] = [this.closed, this.#verdicts[0] === NOT_LOOKED]
    this.#verdicts = verdicts
    if (before !== this.closed && !first) changed()
    return { acted: this.#act(this.closed) }
  }

  #act(reason: string | undefined): Promise<unknown> {
    const { schedule, live, end } = this.#options
    const attempts = live().filter(({ intent }) => intent === undefined)
    if (reason === undefined) {
      return Promise.all(attempts.map((attempt) => this.#release(attempt)))
    }
    const { evictAfterMs } = schedule()
    const late = attempts.filter((attempt) => this.#waitedMs(attempt) >= evictAfterMs)
    const waited = evictAfterMs === 0 ? '' : `, for longer than ${formatDuration(evictAfterMs)}`
    return Promise.all([
      end(late, { phase: 'evicted', by: 'host', reason: `${reason}${waited}` }),
      ...attempts.map((attempt) => this.#hold(attempt, reason)),
    ])
  }

  #waitedMs(attempt: Attempt): number {
    const now = performance.now()
    const since = this.#closedSince.get(attempt) ?? now
    this.#closedSince.set(attempt, since)
    return now - since
  }

  async #hold(attempt: Attempt, reason: string): Promise<void> {
    if (attempt.phase !== 'running' && attempt.phase !== 'paused') return
    if (attempt.pauses.has('schedule') || attempt.intent !== undefined) return
    // A runtime that cannot pause goes on until it is evicted.
    if (attempt.runtimeTask?.pause === undefined) return
    await this.#work(attempt, () => this.#options.control.pause(attempt, 'schedule', reason))
  }

  async #release(attempt: Attempt): Promise<void> {
    this.#closedSince.delete(attempt)
    if (!attempt.pauses.has('schedule') || attempt.over) return
    await this.#work(attempt, async () => {
      await this.#options.control.resume(attempt, 'schedule')
    })
  }

  /** One thing at a time per attempt. An engine that fails now is asked again at the next look. */
  #work(attempt: Attempt, act: () => Promise<void>): Promise<void> {
    const before = this.#working.get(attempt)
    if (before !== undefined) return before
    const work = act()
      .catch((cause) => {
        if (attempt.over || (cause instanceof ManyhandsError && cause.code === 'UNSUPPORTED'))
          return
        this.#options.logger.warn('the schedule could not be applied', {
          attempt: attempt.id,
          cause: String(cause),
        })
      })
      .finally(() => this.#working.delete(attempt))
    this.#working.set(attempt, work)
    return work
  }
}
