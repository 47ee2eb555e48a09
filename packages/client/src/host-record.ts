import {
  addResources,
  firstShortage,
  type HostHistory,
  type Offer,
  type Resources,
} from '@manyhands/core'
import { Throughput } from './throughput.ts'

/** What this client knows of one host: its word (the offer), what we hold there, how it did so far. */
export class HostRecord {
  readonly peerId: string
  offer: Offer
  /** Free there as far as we know: the last word of the host, corrected by what we did since. */
  free: Resources
  /** Attempts of ours there, by id, with what they hold. */
  readonly inFlight = new Map<string, Resources>()
  /** Heard of within the lease's first half; a suspect gets no new work. */
  suspect = false
  /** Connected, or believed to be reachable. */
  present = true
  readonly #rate = new Throughput()
  #completed = 0
  #failed = 0
  #lost = 0
  #evicted = 0
  #quickFailures = 0
  #probeAt = 0

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
    this.free = offer.free
    return true
  }

  fits(wanted: Resources): boolean {
    return firstShortage(wanted, this.free) === undefined
  }

  hold(attempt: string, wanted: Resources): void {
    this.inFlight.set(attempt, wanted)
    this.free = addResources(this.free, wanted, -1)
  }

  letGo(attempt: string): void {
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

  /** Remembers how an attempt ended; `quickMs` says what counts as suspiciously fast. */
  record(
    end: 'completed' | 'failed' | 'lost' | 'evicted',
    durationMs: number,
    quickMs: number,
  ): void {
    if (end === 'completed') {
      this.#completed += 1
      this.#quickFailures = 0
      this.#rate.add()
    } else if (end === 'failed') {
      this.#failed += 1
      this.#quickFailures = durationMs < quickMs ? this.#quickFailures + 1 : 0
    } else if (end === 'lost') this.#lost += 1
    else this.#evicted += 1
  }

  /**
   * Whether this host eats tasks: three quick failures in a row and nothing done well. Then it gets one
   * probe a minute.
   */
  blackHole(probeMs: number): boolean {
    if (this.#quickFailures < 3) return false
    const now = performance.now()
    if (now < this.#probeAt) return true
    this.#probeAt = now + probeMs
    return false
  }
}
