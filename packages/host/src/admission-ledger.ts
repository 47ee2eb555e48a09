import { availableParallelism, totalmem } from 'node:os'
import {
  addResources,
  firstShortage,
  type GpuDevice,
  parseByteSize,
  type Resources,
} from '@manyhands/core'
import { GpuShelf, type GpuWish } from './gpu-shelf.ts'
import type { ShareOptions } from './policy.ts'

/**
 * What the owner lends when nothing else is said: all cores but one, half the memory.
 *
 * @param gpus - those of this computer that he lends
 */
export function resolveShare(
  options: ShareOptions = {},
  gpus: readonly GpuDevice[] = [],
): Resources {
  return {
    cpus: options.cpus ?? Math.max(1, availableParallelism() - 1),
    memoryBytes:
      options.memory === undefined
        ? Math.floor(totalmem() / 2)
        : parseByteSize(options.memory, 'share.memory'),
    diskBytes: parseByteSize(options.disk ?? '50GiB', 'share.disk'),
    gpus: gpus.length,
    pids: options.pids ?? 65_536,
  }
}

export const NOTHING: Resources = { cpus: 0, memoryBytes: 0, diskBytes: 0, gpus: 0, pids: 0 }

/**
 * What is promised to whom. A reservation is one synchronous step, so the sum never grows beyond the
 * share, not for an instant; there is no queue behind it.
 */
export class AdmissionLedger {
  readonly #reserved = new Map<string, Resources>()
  readonly #gpus: GpuShelf
  #share: Resources
  #sum = NOTHING

  /** @param gpus - the ones that are lent; `share.gpus` is how many they are */
  constructor(share: Resources, gpus: readonly GpuDevice[] = []) {
    this.#share = share
    this.#gpus = new GpuShelf(gpus)
  }

  get share(): Resources {
    return this.#share
  }

  /** What can still be reserved: nothing of what is promised beyond a share that became smaller. */
  get free(): Resources {
    return positive(addResources(this.#share, this.#sum, -1))
  }

  /** The sum of all reservations. */
  get reserved(): Resources {
    return this.#sum
  }

  get size(): number {
    return this.#reserved.size
  }

  /** What one of them has reserved. */
  of(id: string): Resources | undefined {
    return this.#reserved.get(id)
  }

  /** GPUs that are lent. */
  get gpus(): readonly GpuDevice[] {
    return this.#gpus.lent
  }

  /** GPUs that fit a wish and nobody has. */
  freeGpus(wish: Omit<GpuWish, 'count'>): readonly GpuDevice[] {
    return this.#gpus.fitting(wish)
  }

  /** Ids of the GPUs that one of them has. */
  gpuIdsOf(id: string): readonly string[] {
    return this.#gpus.of(id)
  }

  /**
   * Lends another share from now on. When it is smaller than what is promised already, nothing more of
   * that is given until enough was released; whom to evict is the caller's choice.
   */
  resize(share: Resources, gpus: readonly GpuDevice[] = []): void {
    this.#share = share
    this.#gpus.lend(gpus)
  }

  /** Reserves all of it or nothing. Returns what is short, or undefined when it was reserved. */
  reserve(
    id: string,
    wanted: Resources,
    gpu: Omit<GpuWish, 'count'> = {},
  ): keyof Resources | undefined {
    if (this.#reserved.has(id)) return undefined
    const short = firstShortage(wanted, this.free)
    if (short !== undefined) return short
    if (!this.#gpus.take(id, { ...gpu, count: wanted.gpus })) return 'gpus'
    this.#set(id, wanted)
    return undefined
  }

  /**
   * Takes a reservation over that was made in an earlier life, also when the share became smaller since:
   * what runs is counted, whatever the rules say of it now.
   */
  restore(id: string, held: Resources, gpuIds: readonly string[] = []): void {
    if (this.#reserved.has(id)) return
    this.#set(id, held)
    this.#gpus.restore(id, gpuIds)
  }

  /**
   * Changes a reservation: less of anything always, more within the share. Returns what is short, or
   * undefined when it was changed.
   */
  change(id: string, wanted: Resources): keyof Resources | undefined {
    const before = this.#reserved.get(id)
    if (before === undefined) return undefined
    const short = firstShortage(positive(addResources(wanted, before, -1)), this.free)
    if (short !== undefined) return short
    this.#set(id, wanted)
    if (wanted.gpus === 0) this.#gpus.giveBack(id)
    return undefined
  }

  release(id: string): void {
    const held = this.#reserved.get(id)
    if (held === undefined) return
    this.#reserved.delete(id)
    this.#gpus.giveBack(id)
    // Without reservations the sum is exact again, whatever the fractions did before.
    this.#sum = this.#reserved.size === 0 ? NOTHING : addResources(this.#sum, held, -1)
  }

  #set(id: string, wanted: Resources): void {
    const before = this.#reserved.get(id) ?? NOTHING
    this.#reserved.set(id, wanted)
    this.#sum = addResources(addResources(this.#sum, before, -1), wanted)
  }
}

function positive(resources: Resources): Resources {
  const { cpus, memoryBytes, diskBytes, gpus, pids } = resources
  return {
    cpus: Math.max(0, cpus),
    memoryBytes: Math.max(0, memoryBytes),
    diskBytes: Math.max(0, diskBytes),
    gpus: Math.max(0, gpus),
    pids: Math.max(0, pids),
  }
}
