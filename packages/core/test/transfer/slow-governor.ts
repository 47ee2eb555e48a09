import type { TransferGovernor } from '@manyhands/core'

/** Lets bytes out so slowly that receivers have time to help each other. */
export function slowly(bytesPerMs: number): TransferGovernor {
  let free = 0
  return {
    take: (direction, _peer, bytes) => {
      if (direction === 'down') return undefined
      const now = performance.now()
      free = Math.max(free, now) + bytes / bytesPerMs
      const waitMs = free - now
      return new Promise<void>((resolve) => setTimeout(resolve, waitMs))
    },
  }
}
