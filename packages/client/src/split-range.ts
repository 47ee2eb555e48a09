import { LIMITS } from '@manyhands/core'
import { type Interval, Intervals } from './intervals.ts'

/** A part of a range that is one task. */
export interface Chunk extends Interval {
  /** Numbers of the range, both included. */
  from: number
  to: number
  step: number
}

interface Part {
  from: number
  to: number
  step: number
}

/** A chunk that is out, once or several times. */
interface Running {
  chunk: Chunk
  host: string
  since: number
}

/** The first chunk of a host that nobody knows: so many of them would be the whole range. */
const PROBES = 32
/** What is left is cut so that each chunk takes this share of the time that all of it will take. */
const SHARE = 1 / 3
/** A chunk takes at most so long that little is lost with it, ms. */
const MOST_MS = 600_000
/** And at least so many times what each costs beside the work, while there is enough for everybody. */
const OVERHEADS = 4
/** How much the newest measurement counts. */
const NEWEST = 0.5
/** What is late is taken over when it would be there in this share of the time that it still takes. */
const SOONER = 0.75
/** Of what is late, the latest so many are looked at; and after that nothing for so long, ms. */
const LOOKED_AT = 16
const LOOK_AGAIN_MS = 250

/**
 * A range that is cut as hosts take it. Chunks follow the speed that each host has shown, and grow smaller
 * towards the end; what a host is late with, others take over. Every number is accepted exactly once: a
 * chunk counts when none of it has counted before.
 *
 * Positions count the numbers of the range in the order written.
 */
export class SplitRange {
  readonly size: number
  readonly #parts: (Part & Interval)[] = []
  /** Positions that no chunk has, none of it accepted. */
  readonly #free = new Intervals()
  readonly #accepted = new Intervals()
  readonly #running = new Map<string, Running>()
  /** What was out and cannot count any more, by the chunk that is being accepted. */
  readonly #outrun = new Map<string, [key: string, running: Running][]>()
  /** Numbers per ms of one slot, by host. */
  readonly #speeds = new Map<string, number>()
  /** What a chunk costs beside the work, ms. */
  #overheadMs = 0
  #lookAgainAt = Number.NEGATIVE_INFINITY
  /** Parts that have failed, and how much of them goes out at once. */
  #suspects: (Interval & { most: number })[] = []
  #halvings = 0
  readonly #most: number
  readonly #now: () => number

  /** @param most - how many numbers one chunk may have */
  constructor(parts: readonly Part[], now: () => number, most = Number.POSITIVE_INFINITY) {
    this.#now = now
    this.#most = most
    let first = 0
    for (const part of parts) {
      const count = Math.floor((part.to - part.from) / part.step) + 1
      this.#parts.push({ ...part, first, last: first + count - 1 })
      first += count
    }
    this.size = first
    if (first > 0) this.#free.add({ first: 0, last: first - 1 })
  }

  /** How many are in no chunk that is out, and not over. */
  get waiting(): number {
    return this.#free.size
  }

  /** Where a number of the range is. Of one that is written twice, the first place. */
  positionOf(number: number): number {
    const part = this.#parts.find(
      ({ from, to, step }) => number >= from && number <= to && (number - from) % step === 0,
    )!
    return part.first + (number - part.from) / part.step
  }

  /** The chunk from one number to another of one part. */
  chunk({ first, last }: Interval): Chunk {
    const part = this.#parts.find((one) => one.first <= first && one.last >= first)!
    const at = (position: number) => part.from + (position - part.first) * part.step
    return { first, last, from: at(first), to: at(last), step: part.step }
  }

  /**
   * The next chunk for a host; undefined when nothing is left, and nothing is late that it would bring
   * sooner.
   *
   * @param slots - how many chunks can be out at once, over all hosts
   */
  cut(host: string, slots: number): Chunk | undefined {
    const next = this.#free.first
    if (next === undefined) return this.#takeOver(host)
    const part = this.#parts.find((one) => one.first <= next.first && one.last >= next.first)!
    const end = Math.min(next.last, part.last)
    const count = Math.min(this.#most, this.#countFor(host, slots))
    const last = Math.min(end, next.first + count - 1)
    return this.chunk(this.#apart({ first: next.first, last }))
  }

  /** A chunk goes to a host. */
  sent(key: string, chunk: Chunk, host: string): void {
    this.#free.remove(chunk)
    this.#running.set(key, { chunk, host, since: this.#now() })
  }

  /** A chunk is not out any more: what nobody else has waits again. */
  back(key: string): void {
    const { chunk } = this.#running.get(key) ?? {}
    this.#running.delete(key)
    if (chunk !== undefined) this.#release(chunk)
  }

  /**
   * A chunk has failed of itself: what of it goes out again is at most half as large. Answers false for a
   * chunk of one, and when that was done often enough: then the whole chunk has failed.
   */
  halve(key: string, chunk: Chunk): boolean {
    const count = chunk.last - chunk.first + 1
    const enough = LIMITS.badNumbersSought * Math.ceil(Math.log2(this.size + 1))
    if (count === 1 || this.#halvings >= enough) return false
    this.#halvings += 1
    this.#suspects.push({ first: chunk.first, last: chunk.last, most: Math.ceil(count / 2) })
    this.back(key)
    return true
  }

  /** A chunk that is out ends before this number: the rest waits again. */
  shorten(key: string, chunk: Chunk, rest: number): Chunk {
    const at = chunk.first + (rest - chunk.from) / chunk.step
    const shorter = this.chunk({ first: chunk.first, last: at - 1 })
    const running = this.#running.get(key)
    // It may have been given up meanwhile: then its numbers wait already.
    if (running === undefined) return shorter
    this.#running.set(key, { ...running, chunk: shorter })
    this.#release({ first: at, last: chunk.last })
    return shorter
  }

  /**
   * A chunk is to count. Answers the keys of those that cannot count any more, or undefined when it cannot
   * itself: some of it counts already.
   */
  accept(key: string, chunk: Chunk): string[] | undefined {
    if (this.#accepted.overlaps(chunk)) return undefined
    const before = this.#running.get(key)
    this.#accepted.add(chunk)
    this.#free.remove(chunk)
    this.#running.delete(key)
    this.#suspects = this.#suspects.filter((one) => this.#accepted.missing(one).length > 0)
    const late = [...this.#running].filter(
      ([, { chunk: other }]) => other.first <= chunk.last && other.last >= chunk.first,
    )
    for (const [other] of late) this.back(other)
    this.#outrun.set(key, before === undefined ? late : [...late, [key, before]])
    return late.map(([other]) => other)
  }

  /** A chunk counts for good. */
  confirm(key: string): void {
    this.#outrun.delete(key)
  }

  /** A chunk that was accepted does not count after all: everything is out that was out before. */
  revoke(key: string, chunk: Chunk): void {
    const outrun = this.#outrun.get(key)
    if (outrun === undefined) return
    this.#outrun.delete(key)
    this.#accepted.remove(chunk)
    for (const [other, running] of outrun) {
      this.#free.remove(running.chunk)
      this.#running.set(other, running)
    }
    this.#release(chunk)
  }

  /** A chunk that is over waits again. */
  forgive(chunk: Interval): void {
    this.#accepted.remove(chunk)
    this.#release(chunk)
  }

  /** Nothing of it is cut any more. Answers how many numbers that leaves. */
  end(): number {
    const left = this.waiting
    for (const part of [...this.#free]) this.#free.remove(part)
    return left
  }

  /** A host took so long for a chunk, and so much longer until that was known. */
  measured(host: string, chunk: Interval, ms: number, overheadMs: number): void {
    this.#overheadMs = this.#overheadMs * (1 - NEWEST) + Math.max(0, overheadMs) * NEWEST
    const speed = (chunk.last - chunk.first + 1) / Math.max(1, ms)
    const known = this.#speeds.get(host)
    this.#speeds.set(host, known === undefined ? speed : known * (1 - NEWEST) + speed * NEWEST)
  }

  /** Begins where it is to; ends where something has failed, so that it is not together with others. */
  #apart({ first, last }: Interval): Interval {
    let end = last
    for (const suspect of this.#suspects) {
      if (suspect.first > end) continue
      if (suspect.first > first) end = suspect.first - 1
      else if (suspect.last >= first) end = Math.min(end, suspect.last, first + suspect.most - 1)
    }
    return { first, last: end }
  }

  #release(chunk: Interval): void {
    const taken = new Intervals([...this.#accepted])
    for (const { chunk: other } of this.#running.values()) taken.add(other)
    for (const part of taken.missing(chunk)) this.#free.add(part)
  }

  #countFor(host: string, slots: number): number {
    const left = this.#free.size
    const speed = this.#speeds.get(host)
    if (speed === undefined) return Math.max(1, Math.floor(left / (PROBES * slots)))
    const known = [...this.#speeds.values()]
    const mean = known.reduce((sum, one) => sum + one, 0) / known.length
    const allMs = left / (mean * slots)
    // As long as all the others, when even that is not worth its overhead.
    const leastMs = Math.min(allMs, this.#overheadMs * OVERHEADS)
    const chunkMs = Math.min(MOST_MS, Math.max(leastMs, allMs * SHARE))
    return Math.max(1, Math.floor(speed * chunkMs))
  }

  /** A part of what would otherwise come last. */
  #takeOver(host: string): Chunk | undefined {
    const speed = this.#speeds.get(host)
    if (speed === undefined) return undefined
    // While nothing has changed, nothing is late that was not.
    if (this.#now() < this.#lookAgainAt) return undefined
    const late: { chunk: Chunk; leftMs: number }[] = []
    for (const { chunk, host: there, since } of this.#running.values()) {
      const count = chunk.last - chunk.first + 1
      if (there === host || count === 1) continue
      const its = this.#speeds.get(there)
      // Of a host that has shown nothing yet, what is out may take for ever.
      const leftMs =
        its === undefined ? Number.POSITIVE_INFINITY : count / its - (this.#now() - since)
      // Longer than it should: as late as it is now, it may be again.
      const expectedMs = leftMs > 0 ? leftMs : this.#now() - since
      late.push({ chunk, leftMs: expectedMs })
    }
    late.sort((a, b) => b.leftMs - a.leftMs)
    for (const { chunk, leftMs } of late.slice(0, LOOKED_AT)) {
      const count = chunk.last - chunk.first + 1
      const half = Math.max(1, Math.ceil(count / 2))
      if (half / speed > leftMs * SOONER) continue
      const open = this.#uncovered(chunk)
      if (open === undefined) continue
      const last = Math.min(open.last, open.first + half - 1)
      return this.chunk(this.#apart({ first: open.first, last }))
    }
    this.#lookAgainAt = this.#now() + LOOK_AGAIN_MS
    return undefined
  }

  /** What of a chunk only one host has. */
  #uncovered(chunk: Chunk): Interval | undefined {
    const others = new Intervals()
    let itself = false
    for (const { chunk: other } of this.#running.values()) {
      if (!itself && other.first === chunk.first && other.last === chunk.last) itself = true
      else if (other.first >= chunk.first && other.last <= chunk.last) others.add(other)
      else if (other.first <= chunk.first && other.last >= chunk.last) return undefined
    }
    return others.missing(chunk)[0]
  }
}
