import { type ByteSize, ManyhandsError, parseByteSize, type Resources } from '@manyhands/core'

/** The least memory that a sandbox can be told to live with: below it no engine starts one. */
const LEAST_MEMORY_BYTES = 6 * 1024 ** 2

export interface LimitChange {
  cpus?: number
  memory?: ByteSize
  pids?: number
}

/** What an attempt may have after a change. @throws USAGE for what is no amount */
export function limitsOf(before: Resources, change: LimitChange): Resources {
  const amount = (name: string, value: number | undefined, integer: boolean) => {
    if (value === undefined) return undefined
    if (typeof value === 'number' && value > 0 && Number.isFinite(value)) {
      if (!integer || Number.isInteger(value)) return value
    }
    const expected = integer ? 'a positive integer' : 'a positive number'
    throw new ManyhandsError('USAGE', `${name}: expected ${expected}, got ${String(value)}`)
  }
  const memory = change.memory === undefined ? undefined : bytesOf(change.memory)
  return {
    ...before,
    cpus: amount('cpus', change.cpus, false) ?? before.cpus,
    memoryBytes: memory ?? before.memoryBytes,
    pids: amount('pids', change.pids, true) ?? before.pids,
  }
}

function bytesOf(memory: ByteSize): number {
  let bytes: number
  try {
    bytes = parseByteSize(memory, 'memory')
  } catch (cause) {
    throw new ManyhandsError('USAGE', (cause as Error).message, { cause })
  }
  if (Number.isSafeInteger(bytes) && bytes >= LEAST_MEMORY_BYTES) return bytes
  throw new ManyhandsError(
    'USAGE',
    `memory: expected at least ${LEAST_MEMORY_BYTES} bytes, got ${String(memory)}`,
  )
}
