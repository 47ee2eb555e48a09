import { type Clock, LIMITS, type Network } from '@manyhands/core'
import PQueue from 'p-queue'
import type { HostRecord } from './host-record.ts'

/** Hosts that are dialed at once, and hearsay that waits for it. */
const DIALS = 16
const WAITING_DIALS = 1000
/** Connections to hosts that are kept without work there, so that a job's first tasks wait for no dial. */
const KEPT = 32
/** Connections to hosts that are made for work, at most. */
const MOST = LIMITS.connections / 2
/** How long a host is not needed before its connection is let go, ms. */
const IDLE_MS = 60_000
/** How long a host that did not answer is left alone, ms: twice as long after each time. */
const REST_MS = { first: 1_000, most: 60_000 }

export interface HostConnectorParts {
  network: Network
  clock: Clock
  random: () => number
  /** A dial has failed. */
  failed(record: HostRecord, cause: unknown): void
  /** Whether something of ours may still happen over the connection to a host. */
  needed(record: HostRecord): boolean
  /** For tests: other numbers of hosts and milliseconds. */
  kept?: number
  idleMs?: number
}

/** Which of the known hosts this client is connected to: those that it needs, and some to begin with. */
export class HostConnector {
  readonly #parts: HostConnectorParts
  readonly #kept: number
  readonly #idleMs: number
  readonly #dials = new PQueue({ concurrency: DIALS })
  /** Hosts that are dialed now. */
  readonly #dialing = new Set<string>()
  readonly #hearsay = new Set<string>()
  /** Hosts that may be dialed when there is a turn: those that work waits for, and those to begin with. */
  readonly #wanted = new Set<HostRecord>()
  readonly #known = new Set<HostRecord>()
  /** Connections that were made here, and since when nothing needs them. */
  readonly #made = new Map<string, number>()
  readonly #letting = new Set<string>()
  #connected = 0
  #soon = false
  #closed = false

  constructor(parts: HostConnectorParts) {
    this.#parts = parts
    this.#kept = parts.kept ?? KEPT
    this.#idleMs = parts.idleMs ?? IDLE_MS
  }

  /** Whether a host that was just heard of is dialed without being asked for. */
  get hasRoom(): boolean {
    return this.#connected + this.#dialing.size + this.#known.size < this.#kept
  }

  /** A host to begin with. */
  welcome(record: HostRecord): void {
    this.#known.add(record)
    this.#look()
  }

  /** Work waits for these, the best first. */
  want(records: HostRecord[]): void {
    for (const record of records) {
      if (this.#wanted.size + this.#dialing.size >= DIALS) break
      this.#wanted.add(record)
    }
    if (this.#wanted.size > 0) this.#look()
  }

  /** Connects to a host at one of its addresses. Does not reject. */
  async addresses(addresses: readonly string[]): Promise<void> {
    const dial = () => this.#parts.network.connect(addresses, { told: {} })
    await this.#dials.add(dial).catch(() => {})
  }

  /** Somebody says that there is a host: good enough to go and ask. */
  heard(peer: string, addresses: readonly string[]): void {
    if (this.#closed || this.#parts.network.isConnected(peer)) return
    if (this.#hearsay.has(peer) || this.#hearsay.size >= WAITING_DIALS) return
    this.#hearsay.add(peer)
    void this.addresses(addresses).finally(() => this.#hearsay.delete(peer))
  }

  /** Whether a connection that has ended was let go of here. */
  lost(peer: string): boolean {
    this.#made.delete(peer)
    return this.#letting.delete(peer)
  }

  /** Tries those again that did not answer, and lets go of what nobody needs. */
  keep(records: Iterable<HostRecord>): void {
    const { network, clock, needed } = this.#parts
    const now = clock.now()
    let connected = 0
    const idle: HostRecord[] = []
    // Those that did not answer are tried again whether there is room or not: nobody else would.
    const again: HostRecord[] = []
    for (const record of records) {
      if (network.isConnected(record.peerId)) connected += 1
      else if (record.dialsFailed > 0 && record.retryAt <= now) again.push(record)
      else if (!record.present && record.retryAt <= now && this.hasRoom) this.welcome(record)
      const since = this.#made.get(record.peerId)
      if (since === undefined || !record.connected) continue
      if (needed(record)) this.#made.set(record.peerId, now)
      else if (now - since > this.#idleMs) idle.push(record)
    }
    this.#connected = connected
    this.want(again)
    const excess = connected - this.#kept
    if (excess <= 0) return
    for (const { peerId } of idle.sort((a, b) => worthOf(a) - worthOf(b)).slice(0, excess)) {
      this.#letting.add(peerId)
      void network.disconnect(peerId).catch(() => {})
    }
  }

  close(): void {
    this.#closed = true
    this.#dials.clear()
    this.#wanted.clear()
    this.#known.clear()
  }

  /** Once for everything that is heard in this turn: the best of it comes first. */
  #look(): void {
    if (this.#soon) return
    this.#soon = true
    this.#parts.clock.soon(() => {
      this.#soon = false
      this.#next()
    })
  }

  #next(): void {
    const { now } = this.#parts.clock
    while (!this.#closed && this.#dialing.size < DIALS) {
      const [wanted] = this.#wanted
      const record = wanted ?? best(this.#known)
      if (record === undefined) return
      this.#wanted.delete(record)
      this.#known.delete(record)
      const { peerId } = record
      if (record.connected || record.retryAt > now() || this.#dialing.has(peerId)) continue
      if (wanted !== undefined && this.#connected + this.#dialing.size >= MOST) continue
      this.#dialing.add(peerId)
      void this.#dials
        .add(() => this.#dial(record))
        .finally(() => {
          this.#dialing.delete(peerId)
          this.#next()
        })
    }
  }

  async #dial(record: HostRecord): Promise<void> {
    const { network, clock, random, failed } = this.#parts
    const { peerId, offer } = record
    if (this.#closed || network.isConnected(peerId)) return
    try {
      if (network.offerAge(peerId) !== undefined) await network.connectTo(peerId)
      else await network.connect(offer.addresses, { told: {} })
      this.#made.set(peerId, clock.now())
      this.#connected += 1
      record.dialsFailed = 0
    } catch (cause) {
      const restMs = Math.min(REST_MS.most, REST_MS.first * 2 ** record.dialsFailed)
      record.dialsFailed += 1
      record.retryAt = clock.now() + restMs * (0.5 + random())
      failed(record, cause)
    }
  }
}

/** How much a host is worth a connection before anything is known of the work. */
function worthOf({ experience, offer }: HostRecord): number {
  const known = experience.completed > 0 ? 1 : 0
  const free = offer.free.cpus > 0 && !offer.draining ? 1 : 0
  return free * 2 + known + experience.reliability
}

function best(records: Iterable<HostRecord>): HostRecord | undefined {
  let found: HostRecord | undefined
  for (const record of records) {
    if (found === undefined || worthOf(record) > worthOf(found)) found = record
  }
  return found
}
