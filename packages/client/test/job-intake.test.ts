import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type AttemptSpec, ManyhandsError, systemClock, type TaskSpec } from '@manyhands/core'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { JobDocument, JobHooks } from '../src/job-document.ts'
import type { JobInputs } from '../src/job-inputs.ts'
import { JobIntake } from '../src/job-intake.ts'
import { type ClientJournal, openClientJournal } from '../src/journal/client-journal.ts'

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
const inputs = { gone: new Map(), unsaved: () => [] } as unknown as JobInputs

interface Told {
  wrote: string[]
  failed: string[]
  broken: ManyhandsError[]
}

/** The source of a job that is in the journal; `of` says what it is. */
async function intakeOf(
  hooks: JobHooks,
  of: Partial<JobDocument> = {},
): Promise<{ intake: JobIntake; told: Told }> {
  const usual: JobDocument = { v: 1, unit: 'task', base, failures: 3, hosts: {}, hooks: [] }
  const document = { ...usual, ...of }
  const row = { id: 'job', key: undefined, name: 'job', specHash: '', submittedAt: '' }
  await journal.transact(() => journal.jobs.insert({ ...row, phase: 'running', document }))
  const told: Told = { wrote: [], failed: [], broken: [] }
  const intake = new JobIntake({
    ...{ job: 'job', document, hooks, inputs, journal, clock: systemClock },
    done: false,
    over: false,
    room: () => 10_000,
    wrote: (tasks) => {
      told.wrote.push(...tasks.map(({ key }) => key))
      told.failed.push(...tasks.filter(({ failed }) => failed).map(({ key }) => key))
    },
    failure: (_index, _key, error) => JSON.stringify({ error: error.toJSON() }),
    broken: (error) => void told.broken.push(error),
  })
  return { intake, told }
}

const numbers = (count: number) => Array.from({ length: count }, (_, n) => `${n}`)
const journaled = () =>
  numbers(journal.tasks.read('job')).filter((key) => journal.tasks.has('job', key))

it('reads what was on its way into the journal again when a job that was ended goes on', async () => {
  let asked = 0
  const task = (item: number): TaskSpec => {
    asked += 1
    // In the middle of the second batch.
    if (asked === 300) intake.stop()
    return { key: `${item}` }
  }
  const { intake, told } = await intakeOf({ task: task as never }, { range: '0-999', total: 1000 })
  await intake.fill()
  expect([intake.done, intake.complete, asked]).toEqual([true, false, 300])
  expect([intake.read, told.wrote.length]).toEqual([256, 256])
  await intake.settled()
  intake.reopen()
  await intake.fill()
  expect([intake.complete, intake.read]).toEqual([true, 1000])
  expect(told.wrote).toEqual(numbers(1000))
  expect(journaled()).toEqual(numbers(1000))
})

it('finds the key of another task also when its batch was read twice', async () => {
  let stopAt = 300
  // Growing numbers, and 299 a second time; the place of the last one is in the batch that is read twice.
  const keyOf = (item: number) => (item === 400 ? '299' : `${item}`)
  const task = (item: number): TaskSpec => {
    if (item === stopAt) intake.stop()
    return { key: keyOf(item) }
  }
  const { intake, told } = await intakeOf({ task: task as never }, { range: '0-599', total: 600 })
  for (stopAt of [300, 450, 520]) {
    await intake.fill()
    await intake.settled()
    intake.reopen()
  }
  stopAt = -1
  await intake.fill()
  expect(intake.complete).toBe(true)
  expect(told.failed).toEqual(['299~400'])
  expect(journaled()).toEqual(numbers(600).filter((key) => key !== '400'))
})

it('goes on where the journal is, of a source that has to be given a second time', async () => {
  let stopAt = 300
  async function* items() {
    for (let n = 0; n < 600; n += 1) {
      if (n === stopAt) intake.stop()
      yield n
    }
  }
  const hooks: JobHooks = { tasks: items() as never }
  const { intake, told } = await intakeOf(hooks, { hooks: ['tasks'] })
  await intake.fill()
  await intake.settled()
  intake.reopen()
  expect([intake.done, intake.known]).toEqual([false, false])
  stopAt = -1
  hooks.tasks = items() as never
  await intake.fill()
  expect([intake.complete, told.wrote.length, told.broken]).toEqual([true, 600, []])
  expect(journaled()).toEqual(numbers(600))
})

it('does not wait for the next item when it is to stop, and hears no complaint of that', async () => {
  const complaint = Promise.withResolvers<never>()
  async function* items() {
    yield* [0, 1, 2]
    await complaint.promise
  }
  const { intake, told } = await intakeOf({ tasks: items() as never }, { hooks: ['tasks'] })
  const filled = intake.fill()
  while (told.wrote.length < 3) await new Promise((resolve) => setImmediate(resolve))
  intake.stop()
  await filled
  await intake.settled()
  complaint.reject(new RangeError('stopped'))
  await new Promise((resolve) => setImmediate(resolve))
  expect([intake.read, intake.complete, told.broken]).toEqual([3, false, []])
})

it('reads again what a full disk kept out of the journal', async () => {
  const { intake, told } = await intakeOf({}, { range: '0-9', total: 10 })
  const { commit } = journal
  const tried = Promise.withResolvers<void>()
  journal.commit = () => {
    tried.resolve()
    return Promise.reject(new ManyhandsError('DISK_FULL', 'full'))
  }
  const filled = intake.fill()
  await tried.promise
  await new Promise((resolve) => setImmediate(resolve))
  intake.stop()
  await expect(filled).rejects.toMatchObject({ code: 'DISK_FULL' })
  expect(intake.read).toBe(0)
  journal.commit = commit
  intake.reopen()
  await intake.fill()
  expect(told.wrote).toEqual(numbers(10))
})

it('takes nothing for missing that was written although nobody could say so', async () => {
  // What a second task of a key costs is that task, and nobody else.
  const task = (item: number): TaskSpec => ({ key: item === 256 ? '200' : `${item}` })
  const { intake, told } = await intakeOf({ task: task as never }, { range: '0-599', total: 600 })
  const { transact } = journal
  journal.transact = async (work) => {
    await transact(work)
    intake.stop()
    throw new ManyhandsError('DISK_FULL', 'full')
  }
  await expect(intake.fill()).rejects.toMatchObject({ code: 'DISK_FULL' })
  journal.transact = transact
  intake.reopen()
  expect(intake.read).toBe(256)
  await intake.fill()
  expect(told.failed).toEqual(['200~256'])
  expect(journal.tasks.read('job')).toBe(600)
})
