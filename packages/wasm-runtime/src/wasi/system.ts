import type { Descriptors } from './descriptors.ts'
import { ERRNO, WasiError } from './errno.ts'
import type { GuestMemory } from './guest-memory.ts'

/** What the calls of one module share. */
export interface System {
  memory: GuestMemory
  descriptors: Descriptors
  argv: Uint8Array[]
  environment: Uint8Array[]
  /** Sleeps; paused tasks sleep on. */
  sleep(ms: number): void
  /** Passed before every call: notes usage, waits while the task is paused. */
  gate(): void
}

/** One call: returns nothing for success, or throws {@link WasiError}. */
// biome-ignore lint/suspicious/noExplicitAny: numbers and bigints as the module's types say
export type Call = (...args: any[]) => void

/** What a module may call: errors become numbers, the host's own become IO. */
export function guarded<Names extends string>(
  system: System,
  calls: Record<Names, Call>,
): Record<Names, (...args: never[]) => number> {
  const table = {} as Record<Names, (...args: never[]) => number>
  for (const [name, call] of Object.entries<Call>(calls)) {
    table[name as Names] = (...args) => {
      system.gate()
      try {
        call(...args)
        return ERRNO.SUCCESS
      } catch (error) {
        if (error instanceof WasiError) return error.errno
        // A failure of the host's file system; its message would tell the module about the host.
        if (typeof (error as NodeJS.ErrnoException).syscall === 'string') return ERRNO.IO
        throw error
      }
    }
  }
  return table
}

/** A size or position from the module as a number; what is beyond exact numbers is too big. */
export function safeNumber(value: bigint): number {
  if (value < 0n) throw new WasiError('INVAL')
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new WasiError('FBIG')
  return Number(value)
}
