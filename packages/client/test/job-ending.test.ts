import { ManyhandsError, systemClock } from '@manyhands/core'
import { expect, it } from 'vitest'
import type { JobChronicle } from '../src/job-chronicle.ts'
import { JobEnding } from '../src/job-ending.ts'
import { JobMeter } from '../src/job-meter.ts'
import { JobRecord } from '../src/job-record.ts'
import type { JobTasks } from '../src/job-tasks.ts'
import type { JobRow } from '../src/journal/job-rows.ts'
import type { JobChecking } from '../src/verify/job-checking.ts'

function jobEnding() {
  const written: string[] = []
  const journal = {
    jobs: { move: (_: string, { phase }: { phase: string }) => void written.push(phase) },
    checks: { settle: () => void written.push('stands') },
    transact: async (work: () => void) => work(),
  } as never
  const spent = { bytesUp: 0, bytesDown: 0, durationMs: 0 }
  const row = { id: 'job', phase: 'running', spent } as JobRow
  const record = new JobRecord(row, {
    journal,
    clock: systemClock,
    meter: new JobMeter(),
    tell: () => {},
  })
  const ending = new JobEnding({
    record,
    journal,
    tasks: {
      allOver: true,
      counts: { failed: 1, total: 1 },
      running: new Map(),
      intake: { stop: () => {}, settled: async () => {}, complete: true },
      retry: () => ({ tasks: 1 }),
      retried: () => {},
      endAll: async () => {},
    } as unknown as JobTasks,
    checking: {
      closed: () => true,
      stop: () => [],
      idle: async () => {},
      reopen: () => {},
    } as unknown as JobChecking,
    chronicle: { end: () => {}, reopen: () => {} } as unknown as JobChronicle,
    ready: () => {},
    summary: () => ({ phase: record.phase, error: record.error }) as never,
    settled: () => {},
  })
  return { ending, record, written }
}

it('says that what was not checked stands when all is over, and not when a job is ended before its time', async () => {
  const { ending, record, written } = jobEnding()
  ending.finishIfDone()
  expect(await ending.ended.promise).toMatchObject({
    phase: 'failed',
    error: { code: 'JOB_FAILED' },
  })
  expect(written).toEqual(['failed', 'stands'])

  expect(await ending.retry()).toBe(1)
  expect([record.phase, record.error]).toEqual(['running', undefined])
  ending.abort('failed', new ManyhandsError('NO_HOSTS', 'nobody is there'))
  // While it is being ended nothing else ends it.
  ending.finishIfDone()
  expect(await ending.ended.promise).toMatchObject({ phase: 'failed', error: { code: 'NO_HOSTS' } })
  expect(written.slice(2)).toEqual(['running', 'running', 'failed'])
})

it('tells whoever waits for its end of that one, and takes up after it what is tried again', async () => {
  const { ending, record } = jobEnding()
  const { promise } = ending.ended
  ending.abort('failed', new ManyhandsError('NO_HOSTS', 'nobody is there'))
  // Asked while it is being ended, and before anybody has heard of it.
  expect(await ending.retry()).toBe(1)
  expect(await promise).toMatchObject({ phase: 'failed', error: { code: 'NO_HOSTS' } })
  expect([record.phase, ending.ended.promise === promise]).toEqual(['running', false])
})
