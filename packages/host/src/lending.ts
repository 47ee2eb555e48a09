import type { GpuDevice, Resources, RuntimeFingerprint } from '@manyhands/core'
import { resolveShare } from './admission-ledger.ts'
import { gpusOf, lentGpus } from './gpu-shelf.ts'
import type { ShareOptions } from './policy.ts'

/** What is lent now, of what this computer has. */
export interface Lending {
  share: Resources
  gpus: GpuDevice[]
}

/** What the owner lends, in numbers; GPUs as far as runtimes answer for them now. */
export function lendingOf(
  share: ShareOptions | undefined,
  runtimes: ReadonlyMap<string, { fingerprint: RuntimeFingerprint }>,
): Lending {
  const present = gpusOf([...runtimes.values()].map(({ fingerprint }) => fingerprint))
  const gpus = lentGpus(share?.gpus, present)
  return { share: resolveShare(share, gpus), gpus }
}
