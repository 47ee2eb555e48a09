import { type ByteRate, formatByteRate, parseByteRate } from '../byte-rate.ts'
import { ManyhandsError } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import type { TransferRules } from './transfer-governor.ts'

/** Most bytes per second, of all peers together and of each. What is left out is not limited. */
export interface TransferCaps {
  upload?: ByteRate
  download?: ByteRate
  perPeer?: { upload?: ByteRate; download?: ByteRate }
}

/** Bytes per second of a cap. @throws SPEC_INVALID, also for less than `LIMITS.transferRateBytes` */
export function parseTransferCap(value: ByteRate, field: string): number {
  const rate = parseByteRate(value, field)
  if (rate >= LIMITS.transferRateBytes) return rate
  throw new ManyhandsError(
    'SPEC_INVALID',
    `${field}: expected at least ${formatByteRate(LIMITS.transferRateBytes)}, got ${JSON.stringify(value)}`,
    { details: { field } },
  )
}

/** Caps as numbers. @throws SPEC_INVALID naming the field */
export function parseTransferCaps(caps: TransferCaps = {}, field = 'transfer'): TransferRules {
  const { perPeer } = caps
  return {
    ...both(caps, field),
    ...(perPeer === undefined ? {} : { perPeer: both(perPeer, `${field}.perPeer`) }),
  }
}

function both({ upload, download }: Omit<TransferCaps, 'perPeer'>, field: string) {
  return {
    ...(upload === undefined ? {} : { upload: parseTransferCap(upload, `${field}.upload`) }),
    ...(download === undefined
      ? {}
      : { download: parseTransferCap(download, `${field}.download`) }),
  }
}
