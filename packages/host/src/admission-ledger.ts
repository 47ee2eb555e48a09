import { availableParallelism, totalmem } from 'node:os'
import { addResources, firstShortage, parseByteSize, type Resources } from '@manyhands/core'
import type { ShareOptions } from './policy.ts'

/** What the owner lends when nothing else is said: all cores but one, half the memory. */
export function resolveShare(options: ShareOptions = {}): Resources {
  return {
    cpus: options.cpus ?? Math.max(1, availableParallelism() - 1),
    memoryBytes:
      options.memory === undefined
        ? Math.floor(totalmem() / 2)
        : parseByteSize(options.memory, 'share.memory'),
    diskBytes: parseByteSize(options.disk ?? '50GiB', 'share.disk'),
    // No runtime of this release answers for a GPU, so all of them are none.
    gpus: typeof options.gpus === 'number' ? options.gpus : 0,
    pids: options.pids ?? 65_536,
  }
}

/**
 * What is promised to whom. A reservation is one synchronous step, so the sum never exceeds the share,
 * not for an instant; there is no queue behind it.
 */
export class AdmissionLedger {
  readonly share: Resources
  readonly #reserved = new Map<string, Resources>()
  #free: Resources

  constructor(share: Resources) {
    this.share = share
    this.#free = share
  }

  get free(): Resources {
    return this.#free
  }

  get size(): number {
    return this.#reserved.size
  }

  /** Reserves all of it or nothing. Returns what is short, or undefined when it was reserved. */
  reserve(id: string, wanted: Resources): keyof Resources | undefined {
    if (this.#reserved.has(id)) return undefined
    const short = firstShortage(wanted, this.#free)
    if (short !== undefined) return short
    this.#reserved.set(id, wanted)
    this.#free = addResources(this.#free, wanted, -1)
    return undefined
  }

  /** Changes a reservation within the share. Returns what is short, or undefined when it was changed. */
  change(id: string, wanted: Resources): keyof Resources | undefined {
    const before = this.#reserved.get(id)
    if (before === undefined) return undefined
    const without = addResources(this.#free, before)
    const short = firstShortage(wanted, without)
    if (short !== undefined) return short
    this.#reserved.set(id, wanted)
    this.#free = addResources(without, wanted, -1)
    return undefined
  }

  release(id: string): void {
    const reserved = this.#reserved.get(id)
    if (reserved === undefined) return
    this.#reserved.delete(id)
    // Without reservations the sum is exact again, whatever the fractions did before.
    this.#free = this.#reserved.size === 0 ? this.share : addResources(this.#free, reserved)
  }
}
