import { firstShortage, ManyhandsError, type Resources, type RpcResult } from '@manyhands/core'

/** What a host says of one attempt that it was offered. */
export type OfferAnswer = RpcResult<'attempt.offer'>['answers'][number]

/** Why a simulated host does not take an attempt, or undefined when it does. */
export function refusalOf(
  wanted: Resources,
  host: { draining: boolean; share: Resources; free: Resources; whim: () => boolean },
): ManyhandsError | undefined {
  if (host.draining) return no('HOST_DRAINING', 'draining')
  if (firstShortage(wanted, host.share) !== undefined) return no('HOST_REFUSED', 'share')
  if (firstShortage(wanted, host.free) !== undefined) return no('HOST_BUSY', 'free')
  return host.whim() ? no('HOST_BUSY', 'admit') : undefined
}

function no(code: 'HOST_BUSY' | 'HOST_DRAINING' | 'HOST_REFUSED', rule: string): ManyhandsError {
  return new ManyhandsError(code, `${rule} says no`, { details: { rule } })
}
