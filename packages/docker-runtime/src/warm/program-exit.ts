import type { RuntimeExit } from '@manyhands/core'
import { SIGNALS } from '../exit-facts.ts'
import type { ProgramEnd } from './program-frames.ts'

/**
 * How a program of a warm container ended: as the first process had it from the kernel, and whether the
 * kernel killed for want of memory meanwhile.
 */
export function programExit(
  { status, outOfTime, leftSome }: ProgramEnd,
  oom: boolean,
): RuntimeExit {
  const number = status & 0x7f
  const exitCode = number === 0 ? (status >> 8) & 0xff : 128 + number
  const signal = number === 0 ? undefined : SIGNALS.get(number)
  const exit: RuntimeExit = { exitCode, signal, oom, reason: 'exited' }
  if (leftSome) exit.detail = 'processes of it could not be ended'
  if (outOfTime) return { ...exit, reason: 'max-runtime' }
  // A file as long as the whole quota was cut off by the kernel before our meter saw it.
  return signal === 'SIGXFSZ' ? { ...exit, reason: 'disk' } : exit
}

/** The same end of a program that had written more than its quota: also when its time was over before that was seen. */
export function endedOverQuota(exit: RuntimeExit): RuntimeExit {
  const own = exit.reason === 'exited' || exit.reason === 'max-runtime'
  return own ? { ...exit, reason: 'disk' } : exit
}

/** How a task ended whose whole container did. A container that ends by itself tells nothing of the task. */
export function endedWithContainer(exit: RuntimeExit): RuntimeExit {
  if (exit.reason !== 'exited' || exit.oom || exit.signal !== undefined) return exit
  const detail = 'the warm sandbox ended under the task'
  return { exitCode: undefined, signal: undefined, oom: false, reason: 'engine-lost', detail }
}
