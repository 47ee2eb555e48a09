import { closeSync, constants, openSync, readSync } from 'node:fs'

const RECORD_BYTES = 8192
/** More records than any kernel's ring holds: the loop ends even while new ones come in. */
const RECORDS_MAX = 100_000

/**
 * Whether the kernel's log tells of a kill for want of memory in this container. Only root may read
 * it, and the kernel leaves lines out when there are many: a "no" proves nothing.
 */
export function kernelToldOfOom(containerId: string): boolean {
  let file: number
  try {
    file = openSync('/dev/kmsg', constants.O_RDONLY | constants.O_NONBLOCK)
  } catch {
    return false
  }
  try {
    const record = Buffer.alloc(RECORD_BYTES)
    for (let count = 0; count < RECORDS_MAX; count += 1) {
      const text = readRecord(file, record)
      if (text === undefined) return false
      if (text.includes('oom_memcg=') && text.includes(containerId)) return true
    }
    return false
  } finally {
    closeSync(file)
  }
}

function readRecord(file: number, into: Buffer): string | undefined {
  try {
    return into.toString('latin1', 0, readSync(file, into))
  } catch (error) {
    // EPIPE: the record was overwritten while we came to it; the next one is there.
    return (error as { code?: string }).code === 'EPIPE' ? '' : undefined
  }
}
