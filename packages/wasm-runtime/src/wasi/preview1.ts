import { descriptorCalls } from './descriptor-calls.ts'
import { pathCalls } from './path-calls.ts'
import type { Preview1Function } from './preview1-functions.ts'
import { processCalls } from './process-calls.ts'
import { type Call, guarded, type System } from './system.ts'

/** The whole of WASI preview 1 for one module. */
export function preview1(system: System): Record<Preview1Function, CallableFunction> {
  const calls: Record<Preview1Function, Call> = {
    ...processCalls(system),
    ...descriptorCalls(system),
    ...pathCalls(system),
  }
  return guarded(system, calls)
}
