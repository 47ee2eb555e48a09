import {
  type AttemptPhase,
  type Duration,
  ManyhandsError,
  type Offer,
  parseByteSize,
  parseDuration,
  type Resources,
} from '@manyhands/core'
import type { SeededRandom } from './seeded-random.ts'
import {
  linkConditions,
  type SimulatedHostOptions,
  type SimulatedLinkOptions,
  type SimulateOptions,
} from './simulate-options.ts'
import type { SimulatedAttempt } from './simulated-attempt.ts'
import { SimulatedBoard } from './simulated-board.ts'
import { SimulatedDesk } from './simulated-desk.ts'
import type { SimulatedHost } from './simulated-host.ts'
import { SimulatedOutputs } from './simulated-outputs.ts'
import { SimulatedPeer } from './simulated-peer.ts'
import type { SimulatedWire } from './simulated-wire.ts'
import { SuspendableClock } from './suspendable-clock.ts'

/** How long after its deadline a host that leaves waits for clients to take what is ready, ms. */
const FLUSH_MS = 5_000
/** How often a host that leaves looks whether it has done what it has, ms. */
const LEAVING_MS = 1_000

export interface TwinHostParts {
  wire: SimulatedWire
  seed: Uint8Array
  options: SimulatedHostOptions
  simulate: SimulateOptions
  random: SeededRandom
  /** Its place among the hosts. */
  index: number
}

export class TwinHost implements SimulatedHost {
  readonly #parts: TwinHostParts
  readonly #peer: SimulatedPeer
  readonly #share: Resources
  readonly #board: SimulatedBoard
  readonly #outputs: SimulatedOutputs
  #clock: SuspendableClock
  #desk: SimulatedDesk | undefined
  #state: SimulatedHost['state'] = 'away'
  #kept: SimulatedAttempt[] = []
  #life = 0
  #disk = 0
  #draining = false

  constructor(parts: TwinHostParts) {
    this.#parts = parts
    const { options, simulate, wire, seed } = parts
    this.#share = {
      cpus: options.share?.cpus ?? 4,
      memoryBytes: parseByteSize(options.share?.memory ?? '8GiB'),
      diskBytes: parseByteSize(options.share?.disk ?? '100GiB'),
      gpus: 0,
      pids: 65_536,
    }
    this.#clock = new SuspendableClock(wire.clock)
    this.#peer = new SimulatedPeer(wire, {
      seed,
      link: linkConditions(options.link, simulate),
      clock: this.#hostClock(),
      gossip: false,
      dialable: true,
      // Each in another network.
      ip: options.address ?? `10.${(parts.index >> 8) & 255}.${parts.index & 255}.1`,
    })
    this.#peer.up = false
    this.#board = new SimulatedBoard({
      peer: this.#peer,
      share: this.#share,
      options,
      disk: () => this.#disk,
      free: () => this.#desk?.free ?? this.#share,
      attempts: () => this.#desk?.live.length ?? 0,
      draining: () => this.#draining,
    })
    this.#board.begin(this.#clock)
    this.#outputs = new SimulatedOutputs({
      peer: this.#peer,
      clock: wire.clock,
      allow: (client, root) =>
        this.#desk?.attempts.some(
          (one) =>
            one.client === client &&
            (one.end?.outputs?.root === root || one.end?.checkpoint?.root === root),
        ) ?? false,
    })
  }

  get peerId(): string {
    return this.#peer.peerId
  }

  get addresses(): string[] {
    return this.#peer.addresses
  }

  get state(): SimulatedHost['state'] {
    return this.#state
  }

  get offer(): Offer {
    return this.#board.current()
  }

  attempts(): { id: string; task: string; job: string; phase: AttemptPhase }[] {
    const attempts = this.#desk?.attempts ?? this.#kept
    return attempts.map(({ id, task, job, phase }) => ({ id, task, job, phase }))
  }

  /** What its tasks wrote goes. */
  close(): Promise<void> {
    return this.#outputs.close()
  }

  /** It is there from now on. */
  join(): void {
    if (this.#state === 'away') this.#begin()
  }

  freeze(): void {
    if (this.#state !== 'up') return
    this.#state = 'frozen'
    this.#peer.frozen = true
    this.#clock.suspend()
  }

  thaw(): void {
    if (this.#state !== 'frozen') return
    this.#state = 'up'
    this.#peer.frozen = false
    this.#clock.resume()
    this.#peer.thawed()
  }

  cutOff(): void {
    this.#peer.cutOff = true
  }

  back(): void {
    this.#peer.cutOff = false
    // Who has given it up hears of it again.
    if (this.#state === 'up') this.#board.announce()
  }

  crash({ losesDisk = this.#parts.options.losesDisk ?? false } = {}): void {
    if (this.#state !== 'up' && this.#state !== 'frozen') return
    this.#kept = losesDisk ? [] : this.#desk!.attempts
    if (losesDisk) this.#disk += 1
    this.#end('down')
  }

  restart(): void {
    if (this.#state === 'down') this.#begin()
  }

  leave({ deadline }: { deadline?: Duration } = {}): void {
    if (this.#state !== 'up' || this.#draining) return
    this.#draining = true
    this.#board.announce()
    const untilMs =
      deadline === undefined
        ? Number.POSITIVE_INFINITY
        : this.#clock.now() + parseDuration(deadline, 'deadline')
    const stop = this.#clock.every(LEAVING_MS, () => {
      if (this.#clock.now() >= untilMs) {
        for (const attempt of this.#desk!.live) this.#desk!.evict(attempt, 'the host goes away')
      }
      // A client that does not come for what is ready is not waited for.
      const gone = this.#clock.now() >= untilMs + FLUSH_MS
      if (this.#desk!.attempts.length > 0 && !gone) return
      stop()
      this.#kept = []
      this.#end('away')
    })
  }

  evict(id: string, reason: string): void {
    const attempt = this.#desk?.live.find((one) => one.id === id)
    if (attempt === undefined) {
      throw new ManyhandsError('NOT_FOUND', `no attempt ${id} runs at host ${this.peerId}`)
    }
    this.#desk!.evict(attempt, reason)
  }

  link(conditions: SimulatedLinkOptions): void {
    const { options, simulate } = this.#parts
    this.#peer.link.conditions = linkConditions({ ...options.link, ...conditions }, simulate)
  }

  #begin(): void {
    const { options, simulate, random, seed } = this.#parts
    this.#life += 1
    this.#clock = new SuspendableClock(this.#parts.wire.clock)
    this.#state = 'up'
    this.#draining = false
    this.#board.begin(this.#clock)
    this.#peer.up = true
    this.#peer.frozen = false
    const kept = this.#kept
    this.#kept = []
    const desk = new SimulatedDesk({
      peer: this.#peer,
      clock: this.#clock,
      seed,
      share: this.#share,
      options,
      work: simulate.work,
      random: random.of(`life ${this.#life}`),
      outputs: this.#outputs,
      kept,
      offer: () => this.offer,
      draining: () => this.#draining,
      changed: () => this.#board.changed(),
    })
    this.#desk = desk
    for (const attempt of desk.live) desk.lose(attempt)
    this.#board.announce()
  }

  #end(state: 'down' | 'away'): void {
    this.#state = state
    this.#desk = undefined
    this.#clock.stop()
    this.#peer.frozen = false
    this.#peer.hangUp(state === 'down' ? 'the host died' : 'the host went away')
    void this.#peer.withdrawOffer()
  }

  /** That of its present life. */
  #hostClock() {
    return {
      now: () => this.#clock.now(),
      date: () => this.#clock.date(),
      after: (ms: number, call: () => void) => this.#clock.after(ms, call),
      every: (ms: number, call: () => void) => this.#clock.every(ms, call),
      soon: (call: () => void) => this.#clock.soon(call),
      delay: (ms: number, options?: { signal?: AbortSignal }) => this.#clock.delay(ms, options),
    }
  }
}
