import { type ComparatorFunction, ManyhandsError, type TaskResult } from '@manyhands/core'
import { type Comparison, different, SAME } from './comparison.ts'

/**
 * Asks the caller's function both ways: one that is not symmetric would let the order in which results
 * came decide which of them counts.
 *
 * @throws COMPARE_INVALID naming the task and the hosts
 */
export async function compareByFunction(
  compare: ComparatorFunction,
  a: TaskResult,
  b: TaskResult,
): Promise<Comparison> {
  const one = await asked(compare, a, b)
  const other = await asked(compare, b, a)
  if (one !== other) {
    throw invalid(a, b, `compare(a, b) is ${one} and compare(b, a) is ${other}`)
  }
  return one ? SAME : different('compare says that they are not the same')
}

async function asked(compare: ComparatorFunction, a: TaskResult, b: TaskResult): Promise<boolean> {
  let answer: unknown
  try {
    answer = await compare(a, b)
  } catch (cause) {
    throw invalid(a, b, `compare threw: ${(cause as Error)?.message ?? cause}`, cause)
  }
  if (typeof answer === 'boolean') return answer
  throw invalid(a, b, `compare returned ${typeof answer}, not true or false`)
}

function invalid(a: TaskResult, b: TaskResult, what: string, cause?: unknown): ManyhandsError {
  const hosts = [a.host, b.host]
  return new ManyhandsError(
    'COMPARE_INVALID',
    `task ${a.key}, results of ${hosts.join(' and ')}: ${what}`.slice(0, 1000),
    { cause, details: { job: a.job, task: a.key, hosts } },
  )
}
