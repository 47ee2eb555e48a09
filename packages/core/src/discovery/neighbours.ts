/** Connections to other members that each keeps by its own doing: together they hold a network of any size. */
const KEPT = 4
/** How often it is looked at, ms; sooner while there are too few. */
const LOOK_MS = 10_000
const HURRY_MS = 500
/** Dials of one look. */
const DIALS = 2
/** Tables are compared with a neighbour's this often, ms; and with the first ones as they come. */
const COMPARE_MS = 60_000
const COMPARED_FIRST = 2

export interface NeighboursParts {
  /** Connected peers that gossip. */
  listeners(): string[]
  /** Hosts that are known, without ourselves. */
  hosts(): string[]
  isConnected(peer: string): boolean
  connect(peer: string, signal: AbortSignal): Promise<void>
  /** Asks a peer which hosts it knows. */
  ask(peer: string, signal: AbortSignal): Promise<void>
}

/**
 * Keeps a member connected to some others, whoever they are: gossip goes along connections, and one
 * bootstrap peer in the middle of all cannot carry it. Compares tables with them, which heals what gossip
 * did not bring.
 */
export class Neighbours {
  readonly #parts: NeighboursParts
  readonly #stop = new AbortController()
  readonly #failed = new Map<string, number>()
  #timer: NodeJS.Timeout | undefined
  #compared = 0
  #comparedMs = Number.NEGATIVE_INFINITY
  #comparing = false

  constructor(parts: NeighboursParts) {
    this.#parts = parts
  }

  start(): void {
    this.#next(HURRY_MS)
  }

  stop(): void {
    this.#stop.abort()
    clearTimeout(this.#timer)
  }

  /** A peer gossips with us from now on. */
  joined(peer: string): void {
    if (this.#compared < COMPARED_FIRST) void this.#compare(peer)
  }

  async #look(): Promise<void> {
    const missing = KEPT - this.#parts.listeners().length
    const others = missing > 0 ? this.#strangers() : []
    await Promise.all(others.slice(0, Math.min(missing, DIALS)).map((peer) => this.#dial(peer)))
    const [neighbour] = shuffled(this.#parts.listeners())
    if (neighbour !== undefined && performance.now() - this.#comparedMs > COMPARE_MS) {
      void this.#compare(neighbour)
    }
    this.#next(others.length > 0 ? HURRY_MS : LOOK_MS)
  }

  /** Known hosts that we are not connected to, in any order. */
  #strangers(): string[] {
    const { hosts, isConnected } = this.#parts
    const now = performance.now()
    for (const [peer, untilMs] of this.#failed) if (untilMs < now) this.#failed.delete(peer)
    return shuffled(hosts()).filter((peer) => !isConnected(peer) && !this.#failed.has(peer))
  }

  async #dial(peer: string): Promise<void> {
    try {
      await this.#parts.connect(peer, this.#stop.signal)
    } catch {
      this.#failed.set(peer, performance.now() + COMPARE_MS)
    }
  }

  async #compare(peer: string): Promise<void> {
    if (this.#comparing || this.#stop.signal.aborted) return
    this.#comparing = true
    this.#compared += 1
    this.#comparedMs = performance.now()
    try {
      await this.#parts.ask(peer, this.#stop.signal)
    } catch {
      // Another one is asked later.
    } finally {
      this.#comparing = false
    }
  }

  #next(ms: number): void {
    if (this.#stop.signal.aborted) return
    this.#timer = setTimeout(
      () => {
        this.#look().catch(() => this.#next(LOOK_MS))
      },
      ms * (0.5 + Math.random()),
    ).unref()
  }
}

function shuffled<Item>(items: Item[]): Item[] {
  return items
    .map((item) => ({ item, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item)
}
