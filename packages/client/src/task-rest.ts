import { ManyhandsError } from '@manyhands/core'
import type { Chunk } from './split-range.ts'

/** What a task of a cut range writes to stdout, on a line of its own, to leave its numbers from here on to others. */
const REST = /^manyhands: rest (-?\d{1,16})\s*$/gm

/**
 * The first number that a task has left to others; undefined when it did all of them. The last word counts.
 *
 * @throws TASK_FAILED when it is none of the task's numbers, or its first one
 */
export function restOf(stdoutTail: string, chunk: Chunk): number | undefined {
  const said = [...stdoutTail.matchAll(REST)].at(-1)?.[1]
  if (said === undefined) return undefined
  const { from, to, step } = chunk
  const rest = Number(said)
  if (rest > from && rest <= to && (rest - from) % step === 0) return rest
  throw new ManyhandsError(
    'TASK_FAILED',
    `the task said "manyhands: rest ${said}", which is no number after its first one, ${from}-${to}`,
    { hint: 'Print the first number that was not done, after at least one that was.' },
  )
}
