import { type Clock, ManyhandsError } from '@manyhands/core'
import type { SeededRandom } from './seeded-random.ts'
import { type SimulatedLink, wayMs } from './simulated-link.ts'

/** One side of a connection, as the network sees it. */
export interface ConnectionEnd {
  readonly peerId: string
  readonly link: SimulatedLink
  readonly ip: string | undefined
  /** Nothing comes from it and nothing goes to it, and nobody is told. */
  readonly cutOff: boolean
  /** Something came: handled now, or when it goes on. */
  receive(arrived: () => void): void
  /** The connection is over. */
  disconnected(connection: SimulatedConnection, error: ManyhandsError): void
}

/** After so long without a word in a partition both sides give a connection up, ms. */
const SILENCE_MS = 60_000

/**
 * What two peers have between them. Messages arrive in order and once; in a partition they wait, and when
 * it lasts the connection is cut at both ends.
 */
export class SimulatedConnection {
  readonly ends: readonly [ConnectionEnd, ConnectionEnd]
  readonly openedAt: number
  readonly #clock: Clock
  readonly #random: SeededRandom
  /** When the last message to each end arrives: none overtakes another. */
  readonly #arrivals = new Map<ConnectionEnd, number>()
  #held: { to: ConnectionEnd; arrive: () => void }[] = []
  #silence: (() => void) | undefined
  #open = true

  constructor(
    ends: readonly [ConnectionEnd, ConnectionEnd],
    parts: { clock: Clock; random: SeededRandom },
  ) {
    this.ends = ends
    this.#clock = parts.clock
    this.openedAt = parts.clock.now()
    this.#random = parts.random
    this.reachabilityChanged()
  }

  get open(): boolean {
    return this.#open
  }

  other(end: ConnectionEnd): ConnectionEnd {
    return this.ends[0] === end ? this.ends[1] : this.ends[0]
  }

  /** Something goes to the other side. What happens there when it has arrived is the caller's. */
  send(from: ConnectionEnd, bytes: number, arrive: () => void): void {
    if (!this.#open) return
    const to = this.other(from)
    const now = this.#clock.now()
    const left = from.link.sends(bytes, now)
    const way = wayMs(from.link.conditions, to.link.conditions, this.#random)
    const begins = Math.max(left + way, this.#arrivals.get(to) ?? 0)
    const at = begins + bytes / to.link.conditions.bytesPerMs
    this.#arrivals.set(to, at)
    this.#clock.after(at - now, () => this.#arrived(to, arrive))
  }

  /** A side was cut off, or is back. */
  reachabilityChanged(): void {
    if (!this.#open) return
    if (this.#silent) {
      this.#silence ??= this.#clock.after(SILENCE_MS, () => this.cut('no word for a long time'))
      return
    }
    this.#silence?.()
    this.#silence = undefined
    const held = this.#held
    this.#held = []
    for (const { to, arrive } of held) this.#arrived(to, arrive)
  }

  /** Over at both ends: at once where it was cut, at the other one after the way there. */
  cut(why: string, by?: ConnectionEnd): void {
    if (!this.#open) return
    this.#open = false
    this.#silence?.()
    this.#held = []
    for (const end of this.ends) {
      const error = new ManyhandsError(
        'PEER_GONE',
        `the connection to ${this.other(end).peerId} is gone: ${why}`,
      )
      const tell = () => end.disconnected(this, error)
      if (by === undefined || by === end) tell()
      else this.#clock.after(by.link.conditions.latencyMs, () => end.receive(tell))
    }
  }

  get #silent(): boolean {
    return this.ends.some((end) => end.cutOff)
  }

  #arrived(to: ConnectionEnd, arrive: () => void): void {
    if (!this.#open) return
    if (this.#silent || this.#held.length > 0) {
      this.#held.push({ to, arrive })
      return
    }
    to.receive(() => {
      if (this.#open) arrive()
    })
  }
}
