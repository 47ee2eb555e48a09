import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** What may wait for V8's own time: less than any task may have. */
const LITTLE_BYTES = 4 * 1024 * 1024

let collect: (() => void) | undefined
let waiting = 0

/**
 * Says that a task's memory is garbage. V8 sees only the small objects in front of it and would let several
 * stand side by side, which together are more than the sandbox may have.
 */
export function leftGarbage(bytes: number): void {
  waiting += bytes
  if (waiting <= LITTLE_BYTES) return
  waiting = 0
  collect ??= collector()
  collect()
}

/** Asked for in a context of its own; what is made afterwards does not have it. */
function collector(): () => void {
  setFlagsFromString('--expose-gc')
  const found = runInNewContext('gc') as () => void
  setFlagsFromString('--no-expose-gc')
  return found
}
