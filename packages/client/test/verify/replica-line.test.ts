import { systemClock } from '@manyhands/core'
import { expect, it } from 'vitest'
import { Task } from '../../src/task.ts'
import type { HostOrigin } from '../../src/verify/independence.ts'
import { OpenCheck } from '../../src/verify/open-check.ts'
import { ReplicaLine } from '../../src/verify/replica-line.ts'

it('answers all replicas of a check that nobody waits for, also one that was out and waits again', () => {
  const line = new ReplicaLine({
    store: { release: async () => {} },
    ready: () => {},
    ended: () => {},
  })
  const first = { peer: 'first' } as HostOrigin
  const check = new OpenCheck('t', first, { wanted: 3, apart: 'hosts' })
  const row = { index: 0, key: 't', phase: 'queued', epoch: 0, dispatches: 0, failures: 0 } as const
  const [out, back] = ['1', '2'].map((n) => {
    const task = new Task(row, { job: 'j', item: 't', overrides: {}, clock: systemClock, check: n })
    line.add(check, task)
    line.take(task)
    task.nextAttempt('host')
    return task
  })
  // It asked to be continued, and its host is busy: its checkpoint is all that there is of it.
  back!.attempts.clear()
  line.requeue(back!)
  expect(line.drop(check)).toEqual([out, back])
  expect([line.ready.length, line.running.size, line.sent.size]).toEqual([0, 0, 0])
  expect(line.drop(check)).toEqual([])
})
