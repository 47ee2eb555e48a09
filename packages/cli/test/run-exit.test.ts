import type { JobSummary } from '@manyhands/client'
import { ManyhandsError } from '@manyhands/core'
import { expect, it } from 'vitest'
import { runExitCode } from '../src/borrow/run-exit.ts'

const summary = (
  phase: JobSummary['phase'],
  counts: Partial<JobSummary['counts']>,
  code?: 'NO_HOSTS' | 'JOB_FAILED',
) => ({
  phase,
  counts: { queued: 0, running: 0, completed: 0, failed: 0, canceled: 0, ...counts },
  error: code === undefined ? undefined : new ManyhandsError(code, '').toJSON(),
})
const none = { failed: 0, timedOut: 0 }

it.each([
  ['all completed', summary('completed', { completed: 3 }), none, 0],
  ['no tasks at all', summary('completed', {}), none, 0],
  ['all failed', summary('failed', { failed: 2 }), { failed: 2, timedOut: 0 }, 1],
  ['some failed', summary('failed', { failed: 1, completed: 1 }), { failed: 1, timedOut: 0 }, 3],
  [
    'some out of time',
    summary('failed', { failed: 1, completed: 1 }),
    { failed: 1, timedOut: 1 },
    3,
  ],
  [
    'all out of time',
    summary('failed', { failed: 2 }, 'JOB_FAILED'),
    { failed: 2, timedOut: 2 },
    124,
  ],
  ['one of two out of time', summary('failed', { failed: 2 }), { failed: 2, timedOut: 1 }, 1],
  ['no hosts', summary('failed', { queued: 1 }, 'NO_HOSTS'), none, 4],
  ['canceled by somebody', summary('canceled', { canceled: 1, completed: 1 }), none, 1],
])('%s', (_, ended, tally, code) => {
  expect(runExitCode(ended, tally)).toBe(code)
})
