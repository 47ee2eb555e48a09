import {
  addResources,
  type Clock,
  firstShortage,
  type HostHistory,
  type Offer,
  type Resources,
} from '@manyhands/core'
import { type AttemptOutcome, HostExperience } from './host-experience.ts'
import { RoundTrip } from './round-trip.ts'
import { Throughput } from './throughput.ts'

/** How long a host that refused is left alone, ms. */
const REST_MS = { first: 50, most: 5_000 }
/** A failure faster than this is suspicious, ms; this many distinct tasks make a black hole. */
const QUICK_MS = 2_000
const QUICK_FAILURES = 3
/** A black hole gets one probe in this time, ms. */
const PROBE_MS = 60_000
/** Ended attempts remembered per host: about those of one round trip. */
const REMEMBERED = 1024
/** Images remembered per host. */
const IMAGES = 64

interface ImageRecord {
  failed: Set<string>
  probeAt: number
}

/** What this client knows of one host: its word (the offer), what we hold there, how it did so far. */
export class HostRecord {
  readonly peerId: string
  offer: Offer
  /** Free there as far as we know: the last word of the host, corrected by what we did since. */
  free: Resources
  /** Attempts of ours there, by id, with what they hold. */
  readonly inFlight = new Map<string, Resources>()
  readonly #unanswered = new Map<string, Resources>()
  /** What ended before the host's word on its beginning was here. */
  readonly #early: Resources[] = []
  /** The last attempts that ended there: a word of the host that was on its way may still count them. */
  readonly #over = new Map<string, Resources>()
  /** Heard of within the lease's first half; a suspect gets no new work. */
  suspect = false
  /** Connected, or believed to be reachable by what it has signed. */
  present = true
  /** Since when it is not, monotonic ms, and why. */
  absentSince = 0
  absence: string | undefined
  /** It has answered over the connection that there is, or over an earlier one. */
  connected = true
  met = false
  /** Dials that failed one after the other; the next one comes no sooner than this, monotonic ms. */
  dialsFailed = 0
  retryAt = 0
  /** Asked again no sooner than this, monotonic ms: it refused lately although it seemed to have room. */
  restUntil = 0
  readonly #clock: Clock
  readonly #random: () => number
  readonly #rate: Throughput
  readonly #images = new Map<string, ImageRecord>()
  /** When its newest word came, monotonic ms. */
  heardAt: number
  readonly roundTrip = new RoundTrip()
  /** When that was measured last, monotonic ms. */
  measuredAt = Number.NEGATIVE_INFINITY
  /** What is remembered of it, also of earlier processes. */
  readonly experience: HostExperience
  #refusals = 0

  constructor(
    offer: Offer,
    { clock, random, known }: { clock: Clock; random: () => number; known?: unknown },
  ) {
    this.experience = new HostExperience(known)
    this.#clock = clock
    this.heardAt = clock.now()
    this.#random = random
    this.#rate = new Throughput(clock.now)
    this.peerId = offer.peerId
    this.offer = offer
    this.free = offer.free
  }

  /**
   * Takes a newer offer over; returns whether it was newer.
   *
   * @param counted - attempts that ran when the host wrote it
   */
  update(offer: Offer, counted: readonly string[] = []): boolean {
    const restarted = offer.instance !== this.offer.instance
    if (!restarted && offer.revision <= this.offer.revision) return false
    this.offer = offer
    this.heardAt = this.#clock.now()
    // What is on its way there is not in the host's word yet.
    this.free = [...this.#unanswered.values()].reduce(
      (free, held) => addResources(free, held, -1),
      offer.free,
    )
    // What has ended before its offer was answered is mostly still counted in the answer. If it is not, the
    // host says no to one that is too many.
    for (const held of this.#early.splice(0)) this.free = addResources(this.free, held)
    for (const id of counted) {
      const held = this.#over.get(id)
      if (held !== undefined) this.free = addResources(this.free, held)
    }
    return true
  }

  fits(wanted: Resources): boolean {
    return firstShortage(wanted, this.free) === undefined
  }

  /** An attempt goes there. */
  hold(attempt: string, wanted: Resources): void {
    this.inFlight.set(attempt, wanted)
    this.#unanswered.set(attempt, wanted)
    this.free = addResources(this.free, wanted, -1)
  }

  /** An attempt was there before this process was: the host's word counts it already. */
  holds(attempt: string, wanted: Resources): void {
    this.inFlight.set(attempt, wanted)
  }

  /** How many attempts it has said yes to, and has to renew. */
  get leased(): number {
    return this.inFlight.size - this.#unanswered.size
  }

  /** The host's word on an attempt is here: from now on its offers count it. */
  answered(attempt: string): void {
    this.#unanswered.delete(attempt)
  }

  letGo(attempt: string): void {
    const early = this.#unanswered.delete(attempt)
    const held = this.inFlight.get(attempt)
    if (held === undefined) return
    if (early) this.#early.push(held)
    this.#over.set(attempt, held)
    for (const oldest of this.#over.keys()) {
      if (this.#over.size <= REMEMBERED) break
      this.#over.delete(oldest)
    }
    this.inFlight.delete(attempt)
    this.free = addResources(this.free, held)
  }

  /** @param image - of the job that asks */
  history(image: string): HostHistory {
    const { completed, failed, lost, evicted, reliability, bytesPerSecond } = this.experience
    const usualMs = this.experience.usualMs(image)
    const rttMs = this.roundTrip.ms
    return {
      completed,
      failed,
      lost,
      evicted,
      throughput: completed === 0 ? undefined : this.#rate.rate,
      running: this.inFlight.size,
      reliability,
      ...(usualMs === undefined ? {} : { usualMs }),
      ...(bytesPerSecond === undefined ? {} : { bytesPerSecond }),
      ...(rttMs === undefined ? {} : { rttMs }),
    }
  }

  /** It said no to an offer: the more often in a row, the longer it is left alone. */
  refused(): void {
    const waitMs = Math.min(REST_MS.most, REST_MS.first * 2 ** this.#refusals)
    this.#refusals += 1
    this.restUntil = this.#clock.now() + waitMs * (0.5 + this.#random())
  }

  accepted(): void {
    this.#refusals = 0
    this.restUntil = 0
  }

  /** Remembers how an attempt ended. A quick failure of a task counts once against host and image. */
  record(end: AttemptOutcome, of: { image: string; task: string; durationMs: number }): void {
    this.experience.ended(end, of.image, of.durationMs)
    if (end === 'completed') {
      this.#rate.add()
      this.#images.delete(of.image)
    } else if (end === 'failed' && of.durationMs < QUICK_MS) {
      this.#imageRecord(of.image).failed.add(of.task)
    }
  }

  /** Whether it refused so lately that it is not asked again yet. */
  get rests(): boolean {
    return this.#clock.now() < this.restUntil
  }

  /** Whether this host eats tasks of an image: quick failures of several, nothing done well since. */
  isBlackHole(image: string): boolean {
    const record = this.#images.get(image)
    if (record === undefined || record.failed.size < QUICK_FAILURES) return false
    return this.#clock.now() < record.probeAt
  }

  /** A task of the image goes there: if it eats tasks, it is the only one for a while. */
  probed(image: string): void {
    const record = this.#images.get(image)
    if (record !== undefined) record.probeAt = this.#clock.now() + PROBE_MS
  }

  #imageRecord(image: string): ImageRecord {
    let record = this.#images.get(image)
    if (record === undefined) {
      if (this.#images.size >= IMAGES) this.#images.clear()
      record = { failed: new Set(), probeAt: 0 }
      this.#images.set(image, record)
    }
    if (record.failed.size < QUICK_FAILURES) record.probeAt = this.#clock.now() + PROBE_MS
    return record
  }
}
