import type { Task } from '../task.ts'
import { mayJudge } from './agreement.ts'
import { type HostOrigin, independent } from './independence.ts'
import type { OpenCheck } from './open-check.ts'

/**
 * Why a host is not asked for a check: it has to be independent of all that were, or are, asked for the same.
 *
 * @param task - the replica that it would run, when there is one
 * @returns undefined when it may be asked
 */
export function whyNotAsked(
  check: OpenCheck,
  task: Task | undefined,
  peer: string,
  originOf: (peer: string) => HostOrigin,
): string | undefined {
  const origin = originOf(peer)
  const { results, apart } = check.agreement
  if (results.some(({ host }) => host.peer === peer)) return 'has given a result of it'
  const asked = [...check.replicas]
    .filter((other) => other !== task)
    .flatMap((other) => other.running.map(({ host }) => host))
  if (asked.includes(peer)) return 'is asked for it now'
  if (check.hasRefused(origin)) return 'it, or a neighbour of it, could not run it'
  if (!mayJudge(check.agreement, origin)) {
    return 'not independent of a host that has given a result of it'
  }
  const apartFromAsked = asked.every((other) => independent(originOf(other), origin, apart))
  return apartFromAsked ? undefined : 'not independent of a host that is asked for it now'
}
