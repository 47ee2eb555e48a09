import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type ArtifactStore,
  type AttemptSpec,
  createArtifactStore,
  ManyhandsError,
  systemClock,
} from '@manyhands/core'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { Dispatcher } from '../src/dispatcher.ts'
import type { JobDocument } from '../src/job-document.ts'
import { JobInputs } from '../src/job-inputs.ts'
import { JobRun } from '../src/job-run.ts'
import { type ClientJournal, openClientJournal } from '../src/journal/client-journal.ts'
import type { HeldAt } from '../src/journal/result-rows.ts'
import { inputsOwner, type Task } from '../src/task.ts'
import { NO_OUTPUTS } from '../src/task-outputs.ts'
import { ResultRevision } from '../src/verify/result-revision.ts'

let dir: string
let journal: ClientJournal
let store: ArtifactStore
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'manyhands-test-'))
  journal = openClientJournal(join(dir, 'client.db'), { durable: true })
  store = await createArtifactStore({ dir: join(dir, 'store') })
})
afterEach(async () => {
  await store.close()
  await journal.close()
  await rm(dir, { recursive: true })
})

/** What a task writes. */
async function written(text: string): Promise<string> {
  const out = join(dir, text)
  await mkdir(out)
  await writeFile(join(out, 'part'), text)
  return (await store.collect(out, ['**'], { holder: 'job' })).root
}

const none = new ManyhandsError('CANCELED', 'none')
const completed = (run: JobRun, task: Task, artifact = '', held?: HeldAt) =>
  run.tasks.settle(
    task,
    'completed',
    {
      ...run.tasks.resultWithout(task, 'failed', none),
      ...{ ok: true, phase: 'completed', host: 'host', error: undefined },
      outputs: { ...NO_OUTPUTS, artifact },
    },
    held,
  )

/** A job whose second task takes a part of what the first has written, and has an input of its own. */
async function jobRun() {
  const base = { inputs: [], env: {}, outputs: [], command: ['run'] } as unknown as AttemptSpec
  const document: JobDocument = { v: 1, unit: 'task', base, failures: 3, hosts: {}, hooks: [] }
  const row = { id: 'job', key: undefined, name: 'job', specHash: '', submittedAt: '' }
  await journal.transact(() => journal.jobs.insert({ ...row, phase: 'running', document }))
  const inputs = new JobInputs(store, 'job')
  const run = new JobRun(journal.jobs.get('job')!, {
    ...{ journal, store, inputs, image: undefined, clock: systemClock, attached: true },
    checking: {} as never,
    shared: () => false,
    hooks: {
      tasks: ['first', 'taking'],
      task: ((key: string) =>
        key === 'first'
          ? { key }
          : {
              key,
              inputs: { '/in/own': { text: 'own' }, '/in/a': { task: 'first', path: '/out' } },
            }) as never,
    },
  })
  await run.fill()
  const [first] = run.tasks.ready
  run.take(first!)
  const root = await written('of the first')
  await completed(run, first!, root)
  await run.fill()
  const [taking] = run.tasks.ready
  run.take(taking!)
  const own = taking!.overrides.inputs![0]!.root
  return { run, inputs, root, own, taking: taking! }
}

/** A second attempt of a task, whose inputs come when it is said; answers what came. */
function lateAttempt(run: JobRun, task: Task, root: string) {
  const ended = Promise.withResolvers<void>()
  let part = ''
  const dispatcher = new Dispatcher({
    ...({} as ConstructorParameters<typeof Dispatcher>[0]),
    journal,
    directory: { link: () => ({}) } as never,
    network: {} as never,
    held: {
      inputsFor: async () => {
        await ended.promise
        part = (await run.inputs.part(root, 'part', inputsOwner(task)))!.root
        return []
      },
    } as never,
  })
  const attempt = task.nextAttempt('host')
  const sends = [{ task, attempt }]
  const sent = dispatcher.send({ host: { peerId: 'host' } as never, job: run, sends })
  return async () => {
    attempt.canceled = true
    ended.resolve()
    await sent
    return part
  }
}

it('what comes to a task that has its result already is let go of', async () => {
  const { run, inputs, root, own, taking } = await jobRun()
  const come = lateAttempt(run, taking, root)
  await completed(run, taking)
  expect(inputs.has(own)).toBe(false)
  const part = await come()
  expect([part === '', inputs.has(part)]).toEqual([false, false])
})

it('what comes to a task stays, as does what it has, while it may have to run again', async () => {
  const { run, inputs, root, own, taking } = await jobRun()
  const come = lateAttempt(run, taking, root)
  await completed(run, taking, await written('of the other'), {
    host: 'host',
    attempt: 'a',
    bytes: 1,
  })
  expect(inputs.has(await come())).toBe(true)
  expect(inputs.has(own)).toBe(true)
  // Lost with its host, it is another task of that name that waits.
  const again = lateAttempt(run, taking, root)
  await run.tasks.undone.retract('taking')
  await again()
  expect(inputs.has(own)).toBe(true)
})

it('a result that is replaced while a task that takes it is being sent does not go with it', async () => {
  const { run, taking } = await jobRun()
  for (const replaced of [true, false]) {
    const supplied = Promise.withResolvers<void>()
    const offered: string[] = []
    const unsent: string[] = []
    const offer = async (_: unknown, __: unknown, attempts: { task: string }[]) => {
      offered.push(...attempts.map(({ task }) => task))
      return { answers: [], offer: {} }
    }
    const dispatcher = new Dispatcher({
      ...({} as ConstructorParameters<typeof Dispatcher>[0]),
      journal,
      directory: { link: () => ({ offer, follow: () => {} }) } as never,
      network: {} as never,
      checkpoints: { begin: () => {} } as never,
      setbacks: {
        unsent: (_: unknown, { key }: Task) => unsent.push(key),
        refused: () => {},
      } as never,
      held: { inputsFor: () => supplied.promise.then(() => []) } as never,
      now: () => 0,
    })
    const sends = [{ task: taking, attempt: taking.nextAttempt('host') }]
    const host = { peerId: 'host', letGo: () => {}, answered: () => {} } as never
    const sent = dispatcher.send({ host, job: run, sends })
    if (replaced) {
      const result = {
        ...run.tasks.resultWithout(taking, 'failed', none),
        ...{ key: 'first', ok: true, phase: 'completed' as const, host: 'other', error: undefined },
      }
      const revision = new ResultRevision({ job: 'job', journal, undone: run.tasks.undone })
      expect(
        await revision.apply({ replace: { key: 'first', result, again: false } }),
      ).toMatchObject({ replaced: true, undone: [] })
    }
    supplied.resolve()
    await sent
    const { phase } = journal.tasks.get('job', 'taking')!
    expect([offered, unsent, phase]).toEqual(
      replaced ? [[], ['taking'], 'queued'] : [['taking'], [], 'running'],
    )
  }
})
