/**
 * The process that cleans up after a host that never comes back. It holds the end of a pipe from the
 * host's process and does nothing until that breaks.
 */

import { stdin } from 'node:process'
import { createInterface } from 'node:readline'
import { NOTHING_LEFT, type ReaperOrder } from './reaper-order.ts'

let order: ReaperOrder | undefined
for await (const line of createInterface({ input: stdin })) {
  if (line === NOTHING_LEFT) order = undefined
  else order ??= JSON.parse(line) as ReaperOrder
}
if (order !== undefined) {
  // Loaded only now: until then a small process is all that is needed.
  const { reap } = await import('./reap.ts')
  await reap(order)
}
