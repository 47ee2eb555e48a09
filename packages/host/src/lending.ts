import {
  type GpuDevice,
  ManyhandsError,
  type Resources,
  type RuntimeFingerprint,
} from '@manyhands/core'
import { resolveShare } from './admission-ledger.ts'
import { gpusOf, lentGpus } from './gpu-shelf.ts'
import type { ShareOptions } from './policy.ts'

/** What is lent now, of what this computer has. */
export interface Lending {
  share: Resources
  gpus: GpuDevice[]
}

type Runtimes = ReadonlyMap<string, { fingerprint: RuntimeFingerprint }>

/** What the owner lends, in numbers; GPUs as far as runtimes answer for them now. */
export function lendingOf(share: ShareOptions | undefined, runtimes: Runtimes): Lending {
  const present = presentGpus(runtimes)
  const gpus = lentGpus(share?.gpus, present)
  return { share: resolveShare(share, gpus), gpus }
}

/**
 * Refuses ids that no driver knows. While a runtime is away nobody can tell: its GPUs are lent when it
 * comes back.
 *
 * @throws CONFIG_INVALID naming the ids
 */
export function checkLentGpus(share: ShareOptions | undefined, runtimes: Runtimes): void {
  if (!Array.isArray(share?.gpus)) return
  if (runtimes.values().some(({ fingerprint }) => !fingerprint.available)) return
  const present = presentGpus(runtimes).map(({ id }) => id)
  const unknown = share.gpus.filter((id) => !present.includes(id))
  if (unknown.length === 0) return
  throw new ManyhandsError('CONFIG_INVALID', `share.gpus: no driver knows ${unknown.join(', ')}`, {
    hint: `This computer has ${present.join(', ') || 'no GPU that a runtime can give'}.`,
    details: { field: 'share.gpus' },
  })
}

function presentGpus(runtimes: Runtimes): GpuDevice[] {
  return gpusOf([...runtimes.values()].map(({ fingerprint }) => fingerprint))
}
