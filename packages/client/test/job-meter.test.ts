import { type AttemptEvent, NO_USAGE, systemClock, type TransferProgress } from '@manyhands/core'
import { expect, it } from 'vitest'
import { JobMeter } from '../src/job-meter.ts'
import { type LiveAttempt, Task } from '../src/task.ts'

/** A job of so many tasks, on a clock that goes only when it is told to. */
function metered(total: number) {
  const clock = { ms: performance.now() }
  const meter = new JobMeter(() => clock.ms)
  const running = new Set<Task>()
  const counts = { queued: total, running: 0, completed: 0, failed: 0, canceled: 0, total }
  const send = (index: number, host: string): [Task, LiveAttempt] => {
    const task = new Task(
      { index, key: String(index), phase: 'queued', epoch: 0, dispatches: 0, failures: 0 },
      { job: 'job', item: index, overrides: {}, clock: systemClock },
    )
    task.move('running')
    const attempt = Object.assign(task.nextAttempt(host), { sentAt: clock.ms })
    meter.dispatched(attempt)
    running.add(task)
    counts.queued -= 1
    counts.running += 1
    return [task, attempt]
  }
  const hear = (attempt: LiveAttempt, event: Partial<AttemptEvent>) =>
    meter.heard(attempt, { attempt: attempt.id, seq: 1, phase: 'staging', ...event })
  const end = (attempt: LiveAttempt, durationMs: number) =>
    hear(attempt, { phase: 'completed', end: { durationMs, usage: NO_USAGE } as never })
  const settle = (task: Task) => {
    meter.completed(task)
    running.delete(task)
    counts.running -= 1
    counts.completed += 1
  }
  const progress = (dispatching = true) =>
    meter.progress({ counts, unit: 'task', running, dispatching })
  return { clock, meter, counts, send, hear, end, settle, progress }
}

const staging = (transfer: Partial<TransferProgress>) => ({
  phase: 'staging' as const,
  transfer: { phase: 'inputs' as const, bytes: 0, rate: 0, ...transfer },
})

it('counts what tasks do, and says of each how far it is', () => {
  const { clock, send, hear, end, settle, progress } = metered(10)
  const tasks = [0, 1, 2, 3, 4].map((index) => send(index, 'a'))
  const attempts = tasks.map(([, attempt]) => attempt)
  hear(attempts[0]!, staging({ phase: 'image', bytes: 1, rate: 2 }))
  hear(attempts[1]!, staging({ bytes: 10, total: 40, rate: 5, etaMs: 6000 }))
  hear(attempts[2]!, { phase: 'running' })
  hear(attempts[3]!, { phase: 'collecting' })
  const { phases, active, eta } = progress()
  expect(phases).toEqual({ image: 1, inputs: 2, running: 1, outputs: 1 })
  expect(active.slice(0, 2)).toEqual([
    { task: '0', attempt: attempts[0]!.id, host: 'a', phase: 'image', bytes: 1, rate: 2 },
    {
      task: '1',
      attempt: attempts[1]!.id,
      host: 'a',
      phase: 'inputs',
      bytes: 10,
      total: 40,
      rate: 5,
      etaMs: 6000,
    },
  ])
  expect(active.slice(2).map(({ phase, etaMs }) => [phase, etaMs])).toEqual([
    ['running', undefined],
    ['outputs', undefined],
    ['inputs', undefined],
  ])
  expect(eta).toBeUndefined()

  clock.ms += 4000
  end(attempts[3]!, 3000)
  expect(progress().phases.outputs).toBe(1)
  attempts[3]!.transfer = () => ({ phase: 'outputs', bytes: 1, total: 4, rate: 1, etaMs: 3000 })
  expect(progress().active[3]).toMatchObject({ phase: 'outputs', total: 4, etaMs: 3000 })
  settle(tasks[3]![0])
  expect(progress().phases).toEqual({ image: 1, inputs: 2, running: 1, outputs: 0 })
  expect(progress().eta).toBeGreaterThan(0)
})

it('does not count inputs that came once for the tasks that follow', () => {
  const { clock, send, hear, end, settle, progress } = metered(3)
  const [first, attempt] = send(0, 'a')
  hear(attempt, staging({ bytes: 5, total: 10, rate: 1 }))
  clock.ms += 60_000
  hear(attempt, { phase: 'running' })
  clock.ms += 2000
  end(attempt, 2000)
  settle(first)
  const [second, next] = send(1, 'a')
  expect(next.cold).toBe(false)
  expect(progress().eta).toBe(4000)
  // Here it takes a second before it runs, every time.
  clock.ms += 1000
  hear(next, { phase: 'running' })
  clock.ms += 2000
  end(next, 2000)
  settle(second)
  send(2, 'a')
  expect(progress().eta).toBe(2500)
})

it('waits for what is still coming, there and here', () => {
  const { clock, send, hear, end, settle, progress } = metered(2)
  const [task, attempt] = send(0, 'a')
  hear(attempt, { phase: 'running' })
  clock.ms += 1000
  end(attempt, 1000)
  settle(task)
  const [, cold] = send(1, 'b')
  hear(cold, staging({ bytes: 1, total: 9, rate: 1, etaMs: 8000 }))
  expect(progress().eta).toBe(9000)
  hear(cold, { phase: 'running' })
  clock.ms += 1000
  end(cold, 1000)
  cold.transfer = () => ({ phase: 'outputs', bytes: 1, total: 9, rate: 1, etaMs: 7000 })
  expect(progress().eta).toBe(7000)
})

it('has no end to tell while nobody is sent out, or nobody knows how many there are', () => {
  const { clock, counts, send, end, settle, progress } = metered(9)
  const [task, attempt] = send(0, 'a')
  clock.ms += 1000
  end(attempt, 1000)
  settle(task)
  send(1, 'a')
  expect(progress().eta).toBe(8000)
  expect(progress(false).eta).toBeUndefined()
  counts.queued = 0
  expect(progress(false).eta).toBe(1000)
  Object.assign(counts, { total: undefined })
  expect(progress().eta).toBeUndefined()
})

it('lists the first thousand, and counts all', () => {
  const { send, progress } = metered(3000)
  for (let index = 0; index < 1500; index += 1) send(index, 'a')
  expect(progress().active).toHaveLength(1000)
  expect(progress().phases.inputs).toBe(1500)
})
