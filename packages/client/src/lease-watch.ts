import type { HostLink } from './host-link.ts'
import type { HostRecord } from './host-record.ts'

export interface LeaseWatchOptions {
  records(): Iterable<HostRecord>
  record(peer: string): HostRecord | undefined
  links(): Iterable<HostLink>
  link(peer: string): HostLink
  /** No new work until it answers again. */
  unreachable(peer: string): void
}

/** Looks after the hosts of which something is expected, and after their leases. */
export class LeaseWatch {
  readonly #options: LeaseWatchOptions
  /** Hosts of which something is expected, and that were not met yet in this process. */
  readonly #expected = new Set<string>()

  constructor(options: LeaseWatchOptions) {
    this.#options = options
  }

  /** It has a lease to show itself. */
  expect(peer: string): void {
    this.#expected.add(peer)
    this.#options.link(peer).heard()
  }

  met(peer: string): void {
    this.#expected.delete(peer)
  }

  /**
   * When our own clock was late, what has arrived meanwhile is read before anyone is given up.
   *
   * @param busy - there are jobs: hosts that went away are looked for
   * @param over - told of hosts whose leases have ended
   */
  look(lateMs: number, busy: boolean, over: (host: string) => void): void {
    const { record, links, link } = this.#options
    for (const one of links()) {
      const known = record(one.peer)
      const missed = busy && known?.met === true && !known.present
      const wanted = one.waiting || (known?.inFlight.size ?? 0) > 0
      if (wanted || missed || this.#expected.has(one.peer)) one.contact.look()
      // Of one that was not asked, nothing is known: it is no worse than it was.
      if (known?.leased === 0 && wanted) known.suspect = one.contact.suspect
    }
    for (const peer of this.#expected) {
      const one = link(peer)
      if (lateMs > one.heartbeatMs) one.heard()
      if (one.leaseState !== 'over') continue
      this.#expected.delete(peer)
      over(peer)
    }
    for (const known of this.#options.records()) {
      // What was not answered yet is not renewed: its offer has a time of its own.
      if (known.leased > 0) this.#lease(known, lateMs, over)
    }
  }

  #lease(known: HostRecord, lateMs: number, over: (host: string) => void): void {
    const one = this.#options.link(known.peerId)
    if (lateMs > one.heartbeatMs) {
      one.heard()
      return
    }
    const state = one.leaseState
    known.suspect = state !== 'held'
    if (state !== 'over') return
    this.#options.unreachable(known.peerId)
    over(known.peerId)
  }
}
