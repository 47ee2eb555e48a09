import type { BytesComparator, TaskResult } from '@manyhands/core'
import { type Comparison, different, SAME } from './comparison.ts'

/** Outputs are named by what is in them. A result without any is what it wrote to stdout. */
export function compareBytes(
  { stdout = false }: BytesComparator,
  a: TaskResult,
  b: TaskResult,
): Comparison {
  if (a.outputs.artifact !== b.outputs.artifact) return different('their outputs differ')
  if ((stdout || a.outputs.artifact === '') && a.stdoutTail !== b.stdoutTail) {
    return different('what they wrote to stdout differs')
  }
  return SAME
}
