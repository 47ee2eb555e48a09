import { mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { taskLines } from '../src/borrow/task-lines.ts'
import { commandRoom, type Line, linesOf, type Running } from './command.ts'

let room: Awaited<ReturnType<typeof commandRoom>>
let host: Running
let address: string

beforeAll(async () => {
  room = await commandRoom()
  const listen = ['--listen', '/ip4/127.0.0.1/tcp/0']
  host = room.start(['host', '--runtime', 'scripted', '--cpus', '4', ...listen, '--jsonl'])
  const ready = await host.line((line) => line['event'] === 'ready')
  address = ready['addresses'][0]
})
afterAll(() => room[Symbol.asyncDispose]())

const run = (options: string[], tokens: string[], stdin?: string) =>
  room.start(
    [
      ...['run', '--bootstrap', address, '--jsonl', ...options],
      ...(tokens.length === 0
        ? []
        : ['--runtime', 'scripted', '--image', 'any', '--', 'run', ...tokens]),
    ],
    {},
    stdin,
  )
const isTask = (line: Line) => line['event'] === 'task'

it('goes on with a run that was killed, where it was, and saves all outputs', async () => {
  const first = run(
    ['--tasks', '1-40', '--out', 'frames'],
    ['--for', '150ms', '--write', 'x={{item}}'],
  )
  await first.line((line) => isTask(line) && first.lines().filter(isTask).length >= 6)
  const { job } = first.lines()[0]!
  first.process.kill('SIGKILL')
  await first.ended
  const second = await run(['--resume', job, '--out', 'frames'], []).ended
  expect(second.code).toBe(0)
  const lines = linesOf(second)
  expect(lines.at(-1)).toMatchObject({
    event: 'job',
    job,
    phase: 'completed',
    counts: { completed: 40 },
  })
  // Each once, and none was run a second time.
  const tasks = lines.filter(isTask)
  expect(new Set(tasks.map(({ key }) => key)).size).toBe(40)
  expect(tasks.every(({ ok, attempts }) => ok && attempts === 1)).toBe(true)
  expect(await readdir(room.path('frames'))).toHaveLength(40)
  // It is over, and what nobody asks for again does not stay.
  const third = await run(['--resume', job], []).ended
  expect(third.code).toBe(2)
  expect(linesOf(third).at(-1)).toMatchObject({ error: { code: 'NOT_FOUND' } })
})

it('goes on with a run of another machine that has its owner key, and tells the one before', async () => {
  const first = run(
    ['--tasks', '1-60', '--owner-key', 'job.key', '--state', 'machine-a'],
    ['--for', '500ms', '--write', 'x={{item}}'],
  )
  await first.line((line) => isTask(line) && first.lines().filter(isTask).length >= 4)
  expect((await stat(room.path('job.key'))).mode & 0o777).toBe(0o600)
  const options = ['--state', 'machine-b', '--out', 'taken']
  const second = await run(['--attach', 'job.key', ...options], []).ended
  expect(second.code).toBe(0)
  expect(linesOf(second).at(-1)).toMatchObject({ phase: 'completed', counts: { completed: 60 } })
  expect(await readdir(room.path('taken'))).toHaveLength(60)
  const ended = await first.ended
  expect(ended.code).toBe(1)
  expect(linesOf(ended).at(-1)).toMatchObject({ error: { code: 'JOB_TAKEN' } })
  const mixed = await run(['--attach', 'job.key', '--tasks', '1-3'], []).ended
  expect([mixed.code, mixed.stdout]).toEqual([2, expect.stringContaining('--tasks')])
  const none = await run(['--attach', 'nothing.key'], []).ended
  expect(none.code).toBe(2)
})

it('keeps a job whose outputs cannot be saved, and says how to go on with it', async () => {
  const blocked = room.path('blocked')
  await mkdir(blocked)
  // Where the outputs of task 3 should go there is something else.
  await writeFile(join(blocked, '3'), '')
  const first = await run(
    ['--tasks', '1-40', '--out', 'blocked'],
    ['--for', '200ms', '--write', 'x={{item}}'],
  ).ended
  expect(first.code).not.toBe(0)
  const { job } = linesOf(first)[0]!
  expect(first.stderr).toContain(`go on with: manyhands run --resume ${job}`)
  const last = linesOf(first)
    .filter(({ event }) => event === 'job')
    .at(-1)
  expect(last).toMatchObject({ phase: 'paused' })
  await rm(join(blocked, '3'))
  const second = await run(['--resume', job, '--out', 'blocked'], []).ended
  expect(second.code).toBe(0)
  expect(linesOf(second).at(-1)).toMatchObject({ phase: 'completed', counts: { completed: 40 } })
  expect(await readdir(blocked)).toHaveLength(40)
})

it('goes on with a run that was interrupted, while others run', async () => {
  const other = run(['--tasks', '1'], ['--hang'])
  await other.line((line) => line['phase'] === 'running')
  const first = run(['--tasks', '1-6'], ['--for', '400ms'])
  await first.line(isTask)
  first.process.kill('SIGINT')
  expect((await first.ended).code).toBe(130)
  const { job } = first.lines()[0]!
  const second = await run(['--resume', job], []).ended
  expect(second.code).toBe(0)
  expect(linesOf(second).at(-1)).toMatchObject({ phase: 'completed', counts: { completed: 6 } })
  other.process.kill('SIGINT')
  await other.ended
})

it('says what is wrong with a job to go on with', async () => {
  const unknown = await run(['--resume', 'nobody'], []).ended
  expect(unknown.code).toBe(2)
  expect(unknown.stderr).toContain('there is no job nobody here')
  const mixed = await run(['--resume', 'nobody', '--tasks', '1-3'], []).ended
  expect(mixed.code).toBe(2)
  expect(mixed.stderr).toContain('--tasks')
})

it('makes a task of every line of JSON on stdin', async () => {
  const items = [{ scene: 'day', frame: 1 }, 'b', 3]
  const text = `${items.map((item) => JSON.stringify(item)).join('\n')}\n\n`
  const ended = await run(['--tasks', '-'], ['--stdout', '<{{item}}>'], text).ended
  expect(ended.code).toBe(0)
  const tasks = linesOf(ended).filter(isTask)
  expect(tasks.map(({ item }) => item)).toEqual(expect.arrayContaining(items))
  expect(tasks.map(({ stdoutTail }) => stdoutTail)).toEqual(
    expect.arrayContaining(['<{"scene":"day","frame":1}>', '<b>', '<3>']),
  )
})

it('runs what a broken stream had given, and says which line is wrong', async () => {
  const ended = await run(['--tasks', '-'], [], '1\n2\nnot json\n4\n').ended
  expect(ended.code).toBe(2)
  const broken = run(['--tasks', '-'], ['--stdout', '{{item}}'], '1\n2\nnot json\n4\n')
  const { code } = await broken.ended
  expect(code).not.toBe(0)
  const lines = broken.lines()
  expect(lines.filter(isTask).map(({ key, ok }) => [key, ok])).toEqual(
    expect.arrayContaining([
      ['1', true],
      ['2', true],
    ]),
  )
  expect(lines.at(-1)).toMatchObject({
    phase: 'failed',
    error: { code: 'SPEC_INVALID', message: expect.stringContaining('line 3') },
  })
})

it('reads lines as they come, however they are cut', async () => {
  async function* pieces() {
    const bytes = new TextEncoder().encode('"ä"\n\n{"a":\n')
    for (const byte of bytes.subarray(0, 6)) yield new Uint8Array([byte])
    yield bytes.subarray(6)
  }
  const items: unknown[] = []
  const reading = (async () => {
    for await (const item of taskLines(pieces())) items.push(item)
  })()
  await expect(reading).rejects.toMatchObject({
    code: 'SPEC_INVALID',
    message: expect.stringContaining('line 3'),
  })
  expect(items).toEqual(['ä'])
})
