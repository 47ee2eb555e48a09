import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type AttemptSpec, ManyhandsError, systemClock, type TaskSpec } from '@manyhands/core'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { Checkpoints, type CheckpointsOptions } from '../src/checkpoints/checkpoints.ts'
import type { JobDocument } from '../src/job-document.ts'
import type { JobInputs } from '../src/job-inputs.ts'
import type { JobRun } from '../src/job-run.ts'
import { JobTasks, type Retried } from '../src/job-tasks.ts'
import { type ClientJournal, openClientJournal } from '../src/journal/client-journal.ts'
import { Task } from '../src/task.ts'
import { NO_OUTPUTS } from '../src/task-outputs.ts'
import type { LeftOff } from '../src/undone-results.ts'
import { ResultRevision } from '../src/verify/result-revision.ts'

let dir: string
let journal: ClientJournal
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'manyhands-test-'))
  journal = openClientJournal(join(dir, 'client.db'), { durable: true })
})
afterEach(async () => {
  await journal.close()
  await rm(dir, { recursive: true })
})

const base = { inputs: [], env: {}, outputs: [], command: ['run'] } as unknown as AttemptSpec
const inputs = {
  gone: new Map(),
  unsaved: () => [],
  takeAll: async (named: Record<string, { task: string }>) => ({
    inputs: [],
    taken: Object.entries(named).map(([path, { task }]) => ({ path, task, from: '' })),
  }),
} as unknown as JobInputs

/** The tasks of a job that is in the journal; `parts` say what it is. */
async function tasksOf(
  of: Partial<JobDocument>,
  hooks: { tasks?: unknown[]; task?: (item: never) => TaskSpec } = {},
): Promise<JobTasks> {
  const document: JobDocument = {
    v: 1,
    unit: 'task',
    base,
    failures: 3,
    hosts: {},
    hooks: [],
    ...of,
  }
  await journal.transact(() =>
    journal.jobs.insert({
      id: 'job',
      key: undefined,
      name: 'job',
      specHash: '',
      phase: 'running',
      submittedAt: '',
      document,
    }),
  )
  const tasks = open(hooks)
  await tasks.fill()
  return tasks
}

/** Where tasks were left; who keeps that comes later than they do. */
let leftOff: LeftOff
beforeEach(() => {
  leftOff = { doubt: () => {}, trust: () => {}, forget: async () => {} }
})

function open(hooks: object = {}): JobTasks {
  return new JobTasks(journal.jobs.get('job')!, {
    journal,
    inputs,
    hooks: hooks as never,
    clock: systemClock,
    tell: () => {},
    ready: () => {},
    settled: () => {},
    completed: () => {},
    committed: () => {},
    undone: () => {},
    handsOut: () => true,
    outrun: () => {},
    leftOff: () => leftOff,
    broken: () => {},
    lastEpoch: 0,
    goesOn: () => true,
  })
}

const none = new ManyhandsError('CANCELED', 'none')
const completed = (tasks: JobTasks, task: Task, stdoutTail = '') =>
  tasks.settle(task, 'completed', {
    ...tasks.resultWithout(task, 'failed', none),
    ok: true,
    phase: 'completed',
    host: 'host',
    outputs: NO_OUTPUTS,
    stdoutTail,
    error: undefined,
  })
const keys = (tasks: readonly Task[]) => tasks.map(({ key }) => key)
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 1))
}

it('accepts one of two parts of a range that overlap, also in the same moment', async () => {
  const tasks = await tasksOf({ range: '1-2', total: 2, split: true })
  const cutting = tasks.cutting!
  const both = cutting.next('slow', 1)!
  expect(both.key).toBe('1-1')
  const rest = cutting.next('slow', 1)!
  tasks.take(both)
  tasks.take(rest)
  await journal.transact(() =>
    journal.tasks.insertCut(
      'job',
      [both, rest].map(({ index, key, item }) => ({ index, key, item: JSON.stringify(item) })),
    ),
  )
  expect(await Promise.all([completed(tasks, both), completed(tasks, both)])).toEqual([true, false])
  expect(await completed(tasks, rest)).toBe(true)
  expect(tasks.counts).toMatchObject({ completed: 2, total: 2, running: 0, queued: 0 })
})

it('loses no task that had come back into the line when what it takes has to be made again', async () => {
  const tasks = await tasksOf(
    {},
    {
      tasks: ['a', 'x', 'y'],
      task: ((key: string) =>
        key === 'a' ? { key } : { key, inputs: { '/in/a': { task: 'a', path: '/out' } } }) as never,
    },
  )
  const [a] = tasks.ready
  tasks.take(a!)
  expect(await completed(tasks, a!)).toBe(true)
  await tasks.fill()
  const x = tasks.ready.find(({ key }) => key === 'x')!
  // It was sent out, and came back: the journal has it as running.
  tasks.take(x)
  x.nextAttempt('host')
  await journal.transact(() =>
    journal.tasks.dispatched('job', [{ ...x, key: 'x', epoch: 1, live: [[1, 'host']] }]),
  )
  tasks.requeue(x)
  expect(keys(tasks.ready)).toEqual(['x', 'y'])
  await tasks.undone.retract('a')
  expect(keys(tasks.ready)).toEqual(['a'])
  const again = tasks.ready[0]!
  tasks.take(again)
  expect(await completed(tasks, again)).toBe(true)
  await tasks.fill()
  expect(keys(tasks.ready).toSorted()).toEqual(['x', 'y'])
  for (const task of [...tasks.ready]) {
    tasks.take(task)
    expect(await completed(tasks, task)).toBe(true)
  }
  expect(tasks.allOver).toBe(true)
  // What was made again comes after what was read meanwhile, so that no reader misses it.
  expect(journal.results.after('job', 0, 10)[0]!.key).toBe('a')
  expect(journal.results.after('job', 1, 10).map(({ key }) => key)).toContain('a')
})

it('has one task of a key, whatever comes of one that was stood back', async () => {
  const tasks = await tasksOf({}, { tasks: ['a'] })
  const old = tasks.ready[0]!
  tasks.take(old)
  await tasks.standDown()
  await tasks.fill()
  expect(keys(tasks.ready)).toEqual(['a'])
  // An end of the old one that was on its way.
  expect(await completed(tasks, old)).toBe(true)
  expect(tasks.ready).toEqual([])
  expect(tasks.allOver).toBe(true)
})

it('cancels what needs a task that failed, however deep, also after a death in between', async () => {
  const tasks = await tasksOf(
    {},
    {
      tasks: Array.from({ length: 50 }, (_, n) => n),
      task: ((n: number) => ({ key: `t${n}`, needs: n === 0 ? [] : [`t${n - 1}`] })) as never,
    },
  )
  const [first] = tasks.ready
  // The process dies after the first has failed and before anything follows from it.
  await journal.tasks.accept('job', [
    { key: first!.key, phase: 'failed', document: '{}', outputs: undefined },
  ])
  const next = open()
  await until(() => next.counts.canceled === 49)
  expect(next.counts).toMatchObject({ failed: 1, canceled: 49, queued: 0 })
})

/** Parts of a range that are out at a host, and in the journal. */
async function cutAll(tasks: JobTasks, journaled = true): Promise<Task[]> {
  const all: Task[] = []
  for (;;) {
    const part = tasks.cutting!.next('slow', 1)
    if (part === undefined) break
    tasks.take(part)
    part.nextAttempt('slow')
    all.push(part)
  }
  if (journaled) await journaledParts(all)
  return all
}
const journaledParts = (parts: Task[]) =>
  journal.transact(() =>
    journal.tasks.insertCut(
      'job',
      parts.map(({ index, key, item }) => ({ index, key, item: JSON.stringify(item) })),
    ),
  )

it('cuts anew what was about to leave when everything was stood back', async () => {
  const tasks = await tasksOf({ range: '1-2', total: 2, split: true })
  await cutAll(tasks, false)
  await tasks.standDown()
  expect([tasks.cutting!.waiting, tasks.running.size]).toEqual([2, 0])
  expect(keys(await cutAll(tasks))).toEqual(['1-1', '2-2'])
})

it('leaves nothing out that another part had outrun when that could not be written', async () => {
  const tasks = await tasksOf({ range: '1-4', total: 4, split: true })
  const parts = await cutAll(tasks)
  const over = new Task(
    { index: -5, key: '1-2', phase: 'queued', epoch: 0, dispatches: 0, failures: 0 },
    {
      job: 'job',
      item: { from: 1, to: 2, step: 1, count: 2 },
      overrides: {},
      clock: systemClock,
      chunk: tasks.cutting!.chunkOf({ from: 1, to: 2, step: 1, count: 2 }),
    },
  )
  tasks.cutting!.moved(over, 'fast')
  tasks.take(over)
  await journaledParts([over])
  const { accept } = journal.tasks
  journal.tasks.accept = () => Promise.reject(new ManyhandsError('DISK_FULL', 'full'))
  await expect(completed(tasks, over)).rejects.toMatchObject({ code: 'DISK_FULL' })
  journal.tasks.accept = accept
  expect(await completed(tasks, over)).toBe(true)
  for (const part of parts) {
    expect(await completed(tasks, part)).toBe(!['1-1', '2-2'].includes(part.key))
  }
  expect([tasks.allOver, tasks.running.size, tasks.counts.completed]).toEqual([true, 0, 4])
})

it('counts once what ends while failed parts are tried again', async () => {
  const tasks = await tasksOf({ range: '1-2', total: 2, split: true })
  const part = tasks.cutting!.next('host', 1)!
  tasks.take(part)
  part.nextAttempt('host')
  await journaledParts([part])
  const accepted = completed(tasks, part)
  let retried: Retried | undefined
  await journal.transact(() => {
    retried = tasks.retry()
  })
  tasks.retried(retried!, false)
  expect(await accepted).toBe(true)
  expect(tasks.counts).toMatchObject({ completed: 1, running: 0, queued: 1 })
  expect(tasks.allOver).toBe(false)
})

it('cuts anew what has failed, and what was never cut, when a job that had ended is tried again', async () => {
  const tasks = await tasksOf({ range: '1-3', total: 3, split: true })
  const parts = [tasks.cutting!.next('host', 1)!, tasks.cutting!.next('host', 1)!]
  for (const part of parts) tasks.take(part)
  await journaledParts(parts)
  expect(await completed(tasks, parts[0]!)).toBe(true)
  await tasks.settle(parts[1]!, 'failed', tasks.resultWithout(parts[1]!, 'failed', none))
  await tasks.endAll('failed', none)
  expect(tasks.counts).toMatchObject({ completed: 1, failed: 2, queued: 0 })
  expect([tasks.allOver, tasks.firstFailure?.code]).toEqual([true, 'CANCELED'])
  let retried: Retried | undefined
  await journal.transact(() => {
    retried = tasks.retry()
  })
  tasks.retried(retried!, true)
  expect(tasks.counts).toMatchObject({ completed: 1, failed: 0, running: 0, queued: 2 })
  expect(tasks.firstFailure).toBeUndefined()
  expect(keys(await cutAll(tasks))).toEqual(['2-2', '3-3'])
})

/** `x` takes of `a`, which has completed, and is out. */
async function takingTask(failures: number) {
  const tasks = await tasksOf(
    {},
    {
      tasks: ['a', 'x'],
      task: ((key: string) =>
        key === 'a' ? { key } : { key, inputs: { '/in/a': { task: 'a', path: '/out' } } }) as never,
    },
  )
  const [a] = tasks.ready
  tasks.take(a!)
  await completed(tasks, a!)
  await tasks.fill()
  const [x] = tasks.ready
  tasks.take(x!)
  x!.nextAttempt('host')
  await journal.transact(() =>
    journal.tasks.dispatched('job', [
      { key: 'x', epoch: 1, dispatches: 1, failures, live: [[1, 'host']] },
    ]),
  )
  return { tasks, a, x }
}

it('runs a task again that ended in the very commit in which what it took was taken back', async () => {
  const { tasks, a, x } = await takingTask(0)
  const revision = new ResultRevision({ job: 'job', journal, undone: tasks.undone })
  const other = { ...tasks.resultWithout(a!, 'failed', none), outputs: NO_OUTPUTS }
  const ended = completed(tasks, x!)
  const revised = revision.apply({
    replace: { key: 'a', result: other, again: true },
    undoTakers: ['a'],
  })
  expect(await ended).toBe(false)
  await revised
  await tasks.fill()
  expect([journal.tasks.phaseOf('job', 'x'), keys(tasks.ready)]).toEqual(['queued', ['x']])
  expect(tasks.counts).toMatchObject({ queued: 1, running: 0, completed: 1 })
})

/** `x` was out, has left a checkpoint, and is out still or waits; what it took of `a` is about to change. */
async function leftTask(waits: boolean) {
  const { tasks, a, x } = await takingTask(1)
  await journal.checkpoints.put({
    ...{ job: 'job', key: 'x', epoch: 1, seq: 1, root: 'root', bytes: 1, starts: 0 },
    ...{ continued: 0, attempt: x!.attempts.keys().next().value!, host: 'host' },
  })
  if (waits) await tasks.standDown()
  const held = new Set<string>()
  const store = {
    retain: (root: string, holder: string) => held.add(`${root} of ${holder}`),
    release: async (root: string, holder: string) => held.delete(`${root} of ${holder}`),
  }
  const checkpoints = new Checkpoints({
    rows: journal.checkpoints,
    store,
  } as unknown as CheckpointsOptions)
  const job = {
    ...{ id: 'job', checking: {}, document: { base: { checkpoint: {} } } },
  } as unknown as JobRun
  leftOff = checkpoints.leftOff(job)
  const home = () => checkpoints.homeOf(job, x!)
  expect([home(), held.size]).toEqual(['host', 1])
  const revision = new ResultRevision({ job: 'job', journal, undone: tasks.undone })
  const result = { ...tasks.resultWithout(a!, 'failed', none), outputs: NO_OUTPUTS }
  const replaceA = () =>
    revision.apply({ replace: { key: 'a', result, again: true }, undoTakers: ['a'] })
  return { tasks, x: x!, home, held, replaceA }
}

it.each([
  ['is out', false],
  ['waits', true],
])('a task that %s begins anew when what it took was wrong', async (_, waits) => {
  const { tasks, x, home, held, replaceA } = await leftTask(waits)
  expect(journal.tasks.phaseOf('job', 'x')).toBe(waits ? 'queued' : 'running')
  // Whoever is told that something can be sent out sends it with what is kept then.
  const seen: (string | undefined)[] = []
  await replaceA().finally(() => seen.push(home()))
  await tasks.fill()
  expect(seen).toEqual([undefined])
  expect([journal.checkpoints.open(), [...held]]).toEqual([[], []])
  expect(keys(tasks.ready)).toEqual(['x'])
  const [again] = tasks.ready
  expect(again).not.toBe(x)
  expect(again).toMatchObject({ revoked: false, epoch: 1, failures: 0 })
})

it('what a task has left is seen by nobody from the moment it is wrong, and stays when that is not durable', async () => {
  const { home, held, replaceA } = await leftTask(false)
  const { transact } = journal
  let fails = true
  // Where it would go on, and what the journal has of that.
  const seen = new Set<string>()
  journal.transact = (work) =>
    transact(() => {
      work()
      seen.add(`${home()} ${journal.checkpoints.open().length}`)
      if (fails) throw none
    })
  await expect(replaceA()).rejects.toBe(none)
  expect([[...seen], home(), held.size]).toEqual([['undefined 0'], 'host', 1])
  fails = false
  await replaceA()
  expect([[...seen], home(), held.size]).toEqual([['undefined 0'], undefined, 0])
})

it('a task goes on from where it was left when what it took was lost, and not wrong', async () => {
  const { tasks, home, held } = await leftTask(true)
  await tasks.undone.retract('a')
  expect([home(), held.size, journal.checkpoints.open().length]).toEqual(['host', 1, 1])
})
