import { encodeDocument, LIMITS, type RpcResult, type WireInput } from '@manyhands/core'
import type { Attempt } from './attempt.ts'

type Claimed = RpcResult<'job.claim'>['attempts'][number]

/**
 * Attempts as the client hears of them that continues their job. What they were given is part of what their
 * receipts say; inputs are left out of those for which one answer has no room.
 */
export function claimedAttempts(attempts: readonly Attempt[]): Claimed[] {
  let room = LIMITS.claimedInputBytes
  const sizes = new Map<WireInput[], number>()
  return attempts.map(({ id, task, phase, origin, spec: { inputs, restore } }) => {
    const claimed: Claimed = { id, task, phase, client: origin }
    if (restore !== undefined) claimed.restore = restore
    let size = sizes.get(inputs)
    if (size === undefined) {
      size = encodeDocument(inputs).length
      sizes.set(inputs, size)
    }
    if (size > room) return claimed
    room -= size
    return { ...claimed, inputs }
  })
}
