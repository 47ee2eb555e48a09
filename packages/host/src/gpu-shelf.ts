import { type GpuDevice, type GpuNeed, gpuFits, type RuntimeFingerprint } from '@manyhands/core'
import type { ShareOptions } from './policy.ts'

/** What one attempt asks of GPUs. */
export interface GpuWish {
  count: number
  need?: GpuNeed
  /** Ids that its runtime can give; undefined: any. */
  within?: ReadonlySet<string>
}

/** All GPUs that runtimes answer for, each once. */
export function gpusOf(fingerprints: Iterable<RuntimeFingerprint>): GpuDevice[] {
  const devices = new Map<string, GpuDevice>()
  for (const { available, gpus = [] } of fingerprints) {
    if (!available) continue
    for (const device of gpus) if (!devices.has(device.id)) devices.set(device.id, device)
  }
  return [...devices.values()]
}

/** Those of the devices that the owner lends. What no driver answers for cannot be lent. */
export function lentGpus(share: ShareOptions['gpus'], devices: readonly GpuDevice[]): GpuDevice[] {
  if (share === 'all') return [...devices]
  if (Array.isArray(share)) return devices.filter(({ id }) => share.includes(id))
  return devices.slice(0, share ?? 0)
}

/** Which GPU belongs to whom. A GPU is given as a whole, and to one attempt at a time. */
export class GpuShelf {
  #lent: readonly GpuDevice[]
  readonly #holders = new Map<string, readonly string[]>()

  constructor(lent: readonly GpuDevice[]) {
    this.#lent = lent
  }

  get lent(): readonly GpuDevice[] {
    return this.#lent
  }

  /** What is held stays held, also when it is not lent any more. */
  lend(lent: readonly GpuDevice[]): void {
    this.#lent = lent
  }

  /** Those that fit and nobody has: the ones with the least memory first, so that large ones stay. */
  fitting({ need, within }: Omit<GpuWish, 'count'>): GpuDevice[] {
    const taken = new Set([...this.#holders.values()].flat())
    return this.#lent
      .filter((device) => !taken.has(device.id) && gpuFits(device, need))
      .filter(({ id }) => within?.has(id) ?? true)
      .toSorted((a, b) => a.memoryBytes - b.memoryBytes)
  }

  /** Takes what is wished, or nothing. Returns whether it was there. */
  take(holder: string, wish: GpuWish): boolean {
    if (wish.count === 0) return true
    const fitting = this.fitting(wish)
    if (fitting.length < wish.count) return false
    this.#holders.set(
      holder,
      fitting.slice(0, wish.count).map(({ id }) => id),
    )
    return true
  }

  restore(holder: string, ids: readonly string[]): void {
    if (ids.length > 0) this.#holders.set(holder, ids)
  }

  of(holder: string): readonly string[] {
    return this.#holders.get(holder) ?? []
  }

  giveBack(holder: string): void {
    this.#holders.delete(holder)
  }
}
