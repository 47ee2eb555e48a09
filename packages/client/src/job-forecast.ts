import { RecentDurations } from './recent-durations.ts'

/** Durations remembered of each host, and of all: enough for a median, few enough to follow a change. */
const KEPT_PER_HOST = 32
const KEPT = 64
/** Hosts of which durations are remembered; those that finished something least recently go first. */
const HOSTS = 1024
/** A slot that was given back is expected to be taken again for this long, ms. */
const REFILL_MS = 2_000
/** Of one that runs longer than any before: the share of its time that it goes on. */
const OVERTIME = 0.1
/** No task takes less: a clock that says 0 would make a job of any size end now. */
const LEAST_MS = 1
/** Ten years. Hosts say how long tasks took, and sums of what they say have to be numbers. */
const MOST_MS = 10 * 365 * 86_400_000

/** An attempt that occupies a place at a host. */
export interface OccupiedSlot {
  host: string
  /** How much of what {@link JobForecast.finished} counts has passed, ms; negative when it begins later. */
  elapsedMs: number
  /** How long it waits for its inputs in any case, ms. */
  waitMs?: number
}

/**
 * When the tasks of a job will have ended, from how long those before took at each host. Places that are
 * occupied are given to waiting tasks as they become free, each at its host's median: what hosts of
 * different speed do in the same time is different, and a single slow task changes little.
 */
export class JobForecast {
  readonly #now: () => number
  readonly #byHost = new Map<string, RecentDurations>()
  readonly #all = new RecentDurations(KEPT)
  /** The most slots that were seen lately. */
  #slots = { most: 0, at: 0 }

  /** @param now - monotonic clock, ms */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now
  }

  /** A task was completed after so long in its place at a host. */
  finished(host: string, durationMs: number): void {
    const ms = Math.min(MOST_MS, Math.max(LEAST_MS, durationMs))
    const durations = this.#byHost.get(host) ?? new RecentDurations(KEPT_PER_HOST)
    this.#byHost.delete(host)
    this.#byHost.set(host, durations)
    durations.add(ms)
    this.#all.add(ms)
    if (this.#byHost.size > HOSTS) this.#byHost.delete(this.#byHost.keys().next().value!)
  }

  /** How long tasks take at a host, ms; undefined when none has ended there. */
  paceAt(host: string): number | undefined {
    return this.#byHost.get(host)?.median
  }

  /** How long tasks usually take, over all hosts; undefined when none has ended. */
  get usualMs(): number | undefined {
    return this.#all.median
  }

  /** Milliseconds that an attempt will go on; undefined when no task has ended, or none took as long. */
  remainingMs({ host, elapsedMs, waitMs = 0 }: OccupiedSlot): number | undefined {
    const left = this.#of(host).beyond(elapsedMs) ?? this.#all.beyond(elapsedMs)
    return left === undefined ? undefined : Math.max(waitMs, left)
  }

  /**
   * Milliseconds until all that runs and all that waits has ended; undefined when no task has ended yet,
   * and when tasks wait and nobody runs any.
   */
  allMs(occupied: OccupiedSlot[], waiting: number): number | undefined {
    const now = this.#now()
    if (occupied.length >= this.#slots.most || now - this.#slots.at > REFILL_MS) {
      this.#slots = { most: occupied.length, at: now }
    }
    if (occupied.length === 0 && waiting === 0) return 0
    if (this.#all.median === undefined) return undefined
    const slots = occupied.map((slot) => ({
      freeMs: this.remainingMs(slot) ?? Math.max(slot.waitMs ?? 0, slot.elapsedMs * OVERTIME),
      paceMs: this.#of(slot.host).median ?? this.#all.median!,
    }))
    const last = slots.reduce((most, { freeMs }) => Math.max(most, freeMs), 0)
    if (waiting === 0) return Math.round(last)
    while (slots.length < this.#slots.most) slots.push({ freeMs: 0, paceMs: this.#all.median })
    return slots.length === 0 ? undefined : Math.round(Math.max(last, whenDone(slots, waiting)))
  }

  #of(host: string): RecentDurations {
    return this.#byHost.get(host) ?? this.#all
  }
}

/** The first moment at which so many tasks have ended in slots that take the next one at once, ms. */
function whenDone(slots: { freeMs: number; paceMs: number }[], tasks: number): number {
  const doneBy = (ms: number) =>
    slots.reduce(
      (sum, { freeMs, paceMs }) => sum + Math.max(0, Math.floor((ms - freeMs) / paceMs)),
      0,
    )
  const [{ freeMs, paceMs }] = slots as [(typeof slots)[number]]
  let [early, late] = [0, freeMs + paceMs * tasks]
  while (late - early > Math.max(1, late / 1e6)) {
    const middle = (early + late) / 2
    if (doneBy(middle) >= tasks) late = middle
    else early = middle
  }
  return late
}
