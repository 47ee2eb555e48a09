import PQueue from 'p-queue'

interface HostLane {
  queue: PQueue
  /** Of what waits and what comes, and how many that is. */
  bytes: number
  count: number
}

/** One thing at a time comes from each host: one that is slow, or hostile, holds up only what is its own. */
export class HostLanes {
  readonly #lanes = new Map<string, HostLane>()
  readonly #working = new Set<Promise<unknown>>()

  /** Bytes that come from a host, and wait to. */
  bytes(host: string): number {
    return this.#lanes.get(host)?.bytes ?? 0
  }

  /**
   * @param signal - gives the lane free at once, whatever the work does
   * @throws what the work throws, or the signal's reason
   */
  async run(
    host: string,
    { bytes, signal }: { bytes: number; signal: AbortSignal },
    work: () => Promise<void>,
  ): Promise<void> {
    const lane = this.#lanes.get(host) ?? newLane()
    this.#lanes.set(host, lane)
    lane.bytes += bytes
    lane.count += 1
    try {
      await lane.queue.add(() => this.#worked(work()), { signal })
    } finally {
      lane.bytes -= bytes
      lane.count -= 1
      if (lane.count === 0) this.#lanes.delete(host)
    }
  }

  /** Resolves when nothing is being done any more: whoever closes aborts all of it before. */
  async idle(): Promise<void> {
    await Promise.allSettled(this.#working)
  }

  async #worked(work: Promise<void>): Promise<void> {
    this.#working.add(work)
    try {
      await work
    } finally {
      this.#working.delete(work)
    }
  }
}

const newLane = (): HostLane => ({ queue: new PQueue({ concurrency: 1 }), bytes: 0, count: 0 })
