import { z } from 'zod'
import { TransferRate } from './transfer-rate.ts'

/** What is brought to where it is needed, and for what. */
export type TransferPhase = 'image' | 'inputs' | 'outputs'

/** How far a transfer is. Several that wait for one transfer all have its numbers. */
export interface TransferProgress {
  phase: TransferPhase
  /** Bytes that came and were verified; what was here before does not count. */
  bytes: number
  /** Bytes that have to come in all, when that is known. It sinks when less is missing than it seemed. */
  total?: number
  /** Bytes per second, smoothed over about three seconds; 0 while it is not known. */
  rate: number
  /** Milliseconds to the end at that rate. Absent while the total is not known, or nothing moves. */
  etaMs?: number
}

/** Whatever a peer says: sums of these are still numbers. */
const n = z.number().nonnegative().max(Number.MAX_SAFE_INTEGER)

export const transferProgressSchema: z.ZodType<TransferProgress> = z.object({
  phase: z.enum(['image', 'inputs', 'outputs']),
  bytes: n,
  total: n.optional(),
  rate: n,
  etaMs: n.optional(),
})

interface Part {
  bytes: number
  total: number | undefined
}

/** Follows a transfer that consists of artifacts, one after the other. */
export class TransferMeter {
  readonly #phase: TransferPhase
  readonly #parts: Map<string, Part>
  readonly #rate: TransferRate

  /** @param wanted - roots of the artifacts that have to be here at the end, with their sizes if known */
  constructor(
    phase: TransferPhase,
    wanted: Iterable<readonly [root: string, bytes?: number]>,
    now?: () => number,
  ) {
    this.#phase = phase
    this.#rate = new TransferRate(now)
    this.#parts = new Map()
    for (const [root, total] of wanted) this.#parts.set(root, { bytes: 0, total })
  }

  /**
   * So much of an artifact has come in all.
   *
   * @param joined - its transfer was under way before: what had come by then says nothing of the rate
   */
  progressed(root: string, bytes: number, total?: number, joined = false): void {
    const part = this.#parts.get(root)
    if (part === undefined || bytes < part.bytes) return
    if (!joined || part.bytes > 0) this.#rate.add(bytes - part.bytes)
    part.bytes = bytes
    part.total = total ?? part.total
  }

  /** An artifact is here: whatever has not come was not missing. */
  complete(root: string): void {
    const part = this.#parts.get(root)
    if (part !== undefined) part.total = part.bytes
  }

  progress(): TransferProgress {
    let bytes = 0
    let total: number | undefined = 0
    for (const part of this.#parts.values()) {
      bytes += part.bytes
      if (part.total === undefined) total = undefined
      else if (total !== undefined) total += Math.max(part.bytes, part.total)
    }
    const etaMs = total === undefined ? undefined : this.#rate.remainingMs(total - bytes)
    return {
      phase: this.#phase,
      bytes,
      ...(total === undefined ? {} : { total }),
      rate: Math.round(this.#rate.perSecond),
      ...(etaMs === undefined ? {} : { etaMs }),
    }
  }
}
