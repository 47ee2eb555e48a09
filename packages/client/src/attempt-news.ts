import { type AttemptEnd, type AttemptEvent, isTerminal } from '@manyhands/core'
import type { JobNews } from './job-chronicle.ts'
import type { LiveAttempt, Task } from './task.ts'

/** What the client's own caller is told of an attempt. */
export function attemptNews(
  task: Task,
  attempt: LiveAttempt,
  event: Pick<AttemptEvent, 'phase' | 'reason' | 'usage'> & {
    end?: Pick<AttemptEnd, 'by' | 'reason' | 'error'>
  },
): JobNews {
  const { phase, end, usage } = event
  const reason = end?.reason ?? event.reason
  const over = isTerminal(phase)
  return {
    kind: 'attempt',
    task: task.key,
    attempt: attempt.id,
    host: attempt.host,
    phase,
    ...(task.checks ? { check: true } : {}),
    ...(end?.by === undefined ? {} : { by: end.by }),
    ...(reason === undefined ? {} : { reason }),
    ...(end?.error === undefined ? {} : { error: end.error }),
    ...(usage === undefined ? {} : { usage }),
    ...(over ? { timeline: { ...attempt.timeline } } : {}),
    ...(over && phase !== 'completed' ? provisional(attempt) : {}),
  }
}

/** How many files had come of an attempt that does not become a result. */
function provisional({ arrivals }: LiveAttempt): { provisional?: number } {
  return arrivals.here.size === 0 ? {} : { provisional: arrivals.here.size }
}
