import {
  addResources,
  firstShortage,
  type HostHistory,
  type Offer,
  type Resources,
} from '@manyhands/core'
import { Throughput } from './throughput.ts'

/** How long a host that refused is left alone, ms. */
const REST_MS = { first: 50, most: 5_000 }
/** A failure faster than this is suspicious, ms; this many distinct tasks make a black hole. */
const QUICK_MS = 2_000
const QUICK_FAILURES = 3
/** A black hole gets one probe in this time, ms. */
const PROBE_MS = 60_000
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
  /** Heard of within the lease's first half; a suspect gets no new work. */
  suspect = false
  /** Connected, or believed to be reachable. */
  present = true
  /** Since when it is not, monotonic ms. */
  absentSince = 0
  /** Asked again no sooner than this, monotonic ms: it refused lately although it seemed to have room. */
  restUntil = 0
  readonly #rate = new Throughput()
  readonly #images = new Map<string, ImageRecord>()
  #completed = 0
  #failed = 0
  #lost = 0
  #evicted = 0
  #refusals = 0

  constructor(offer: Offer) {
    this.peerId = offer.peerId
    this.offer = offer
    this.free = offer.free
  }

  /** Takes a newer offer over; returns whether it was newer. */
  update(offer: Offer): boolean {
    const restarted = offer.instance !== this.offer.instance
    if (!restarted && offer.revision <= this.offer.revision) return false
    this.offer = offer
    // What is on its way there is not in the host's word yet.
    this.free = [...this.#unanswered.values()].reduce(
      (free, held) => addResources(free, held, -1),
      offer.free,
    )
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

  /** The host's word on an attempt is here: from now on its offers count it. */
  answered(attempt: string): void {
    this.#unanswered.delete(attempt)
  }

  letGo(attempt: string): void {
    this.#unanswered.delete(attempt)
    const held = this.inFlight.get(attempt)
    if (held === undefined) return
    this.inFlight.delete(attempt)
    this.free = addResources(this.free, held)
  }

  history(): HostHistory {
    return {
      completed: this.#completed,
      failed: this.#failed,
      lost: this.#lost,
      evicted: this.#evicted,
      throughput: this.#completed === 0 ? undefined : this.#rate.rate,
      running: this.inFlight.size,
    }
  }

  /** It said no to an offer: the more often in a row, the longer it is left alone. */
  refused(): void {
    const waitMs = Math.min(REST_MS.most, REST_MS.first * 2 ** this.#refusals)
    this.#refusals += 1
    this.restUntil = performance.now() + waitMs * (0.5 + Math.random())
  }

  accepted(): void {
    this.#refusals = 0
    this.restUntil = 0
  }

  /** Remembers how an attempt ended. A quick failure of a task counts once against host and image. */
  record(
    end: 'completed' | 'failed' | 'lost' | 'evicted',
    of: { image: string; task: string; durationMs: number },
  ): void {
    if (end === 'lost') this.#lost += 1
    else if (end === 'evicted') this.#evicted += 1
    else if (end === 'completed') {
      this.#completed += 1
      this.#rate.add()
      this.#images.delete(of.image)
    } else {
      this.#failed += 1
      if (of.durationMs < QUICK_MS) this.#imageRecord(of.image).failed.add(of.task)
    }
  }

  /** Whether this host eats tasks of an image: quick failures of several, nothing done well since. */
  isBlackHole(image: string): boolean {
    const record = this.#images.get(image)
    if (record === undefined || record.failed.size < QUICK_FAILURES) return false
    return performance.now() < record.probeAt
  }

  /** A task of the image goes there: if it eats tasks, it is the only one for a while. */
  probed(image: string): void {
    const record = this.#images.get(image)
    if (record !== undefined) record.probeAt = performance.now() + PROBE_MS
  }

  #imageRecord(image: string): ImageRecord {
    let record = this.#images.get(image)
    if (record === undefined) {
      if (this.#images.size >= IMAGES) this.#images.clear()
      record = { failed: new Set(), probeAt: 0 }
      this.#images.set(image, record)
    }
    if (record.failed.size < QUICK_FAILURES) record.probeAt = performance.now() + PROBE_MS
    return record
  }
}
