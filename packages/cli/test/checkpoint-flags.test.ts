import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { liveTreesSupported } from '@manyhands/core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { jobRequest, type RunFlags } from '../src/borrow/job-request.ts'
import { commandRoom, type Line, linesOf, type Running } from './command.ts'

describe('--checkpoint and --checkpoint-every', () => {
  let cwd: string
  beforeEach(async () => {
    cwd = await mkdtemp(join(tmpdir(), 'manyhands-request-'))
  })
  afterEach(() => rm(cwd, { recursive: true }))

  const checkpoint = async (flags: Partial<RunFlags>, written?: unknown) => {
    const file = written === undefined ? undefined : join(cwd, 'job.json')
    const spec = { image: 'a', checkpoint: written }
    if (file !== undefined) await writeFile(file, JSON.stringify(spec))
    const given = { wait: '1s', image: 'a', ...flags }
    const context = { cwd, rest: undefined, stdin: Readable.from([]) }
    return (await jobRequest(file, given, context)).spec.checkpoint
  }

  it('are the checkpoint of the job, every minute where nothing is said', async () => {
    expect(await checkpoint({})).toBeUndefined()
    const paths = ['/out/*.cpt', '/out/state/**']
    expect(await checkpoint({ checkpoint: paths })).toEqual({ paths, every: '1m' })
    const both = { checkpoint: paths, checkpointEvery: '90s' }
    expect(await checkpoint(both)).toEqual({ paths, every: '90s' })
  })

  it('replace what the file says, one by one', async () => {
    const written = { paths: ['/out/a'], every: '5m', continueCode: 75 }
    expect(await checkpoint({ checkpoint: ['/out/b'] }, written)).toEqual({
      ...written,
      paths: ['/out/b'],
    })
    expect(await checkpoint({ checkpointEvery: '1s' }, written)).toEqual({
      ...written,
      every: '1s',
    })
  })

  it.each(['999ms', '0', '0s', '-1s', 'soon', '5', '', '1 fortnight'])(
    'refuse the interval %j, and name the option',
    async (every) => {
      await expect(
        checkpoint({ checkpoint: ['/out/a'], checkpointEvery: every }),
      ).rejects.toMatchObject({
        code: 'SPEC_INVALID',
        exitCode: 2,
        message: expect.stringMatching(/^--checkpoint-every: expected .*, got "/),
      })
    },
  )

  it.each([0, 999, -1, 'soon'])('refuse the interval %j of a file', async (every) => {
    const written = { paths: ['/out/a'], every }
    await expect(checkpoint({}, written)).rejects.toMatchObject({
      code: 'SPEC_INVALID',
      message: expect.stringContaining('checkpoint.every'),
    })
  })

  it.each(['state', '/in/state', '/etc/passwd', '/out/../etc', '/output', '/out//a', ''])(
    'refuse the path %j, and name it',
    async (path) => {
      await expect(checkpoint({ checkpoint: ['/out/ok', path] })).rejects.toMatchObject({
        code: 'SPEC_INVALID',
        exitCode: 2,
        message: expect.stringContaining(`spec.checkpoint.paths.1: must be /out/`),
      })
    },
  )
})

describe('a command line', () => {
  let room: Awaited<ReturnType<typeof commandRoom>>
  beforeAll(async () => {
    room = await commandRoom()
    const split = { image: 'a', tasks: '1-9', split: { by: 'range' } }
    await writeFile(room.path('split.json'), JSON.stringify(split))
  })
  afterAll(() => room[Symbol.asyncDispose]())
  const SAVE = ['--checkpoint', '/out/a']

  it.each([
    [['--checkpoint'], 'USAGE', /--checkpoint.*argument missing/],
    [['--checkpoint-every', '1s'], 'USAGE', /give a --checkpoint PATH as well/],
    [[...SAVE, '--checkpoint-every'], 'USAGE', /--checkpoint-every.*argument missing/],
    [
      [...SAVE, '--checkpoint-every', '1s', '--checkpoint-every', '2s'],
      'USAGE',
      /--checkpoint-every.*given before/,
    ],
    [[...SAVE, '--checkpoint-every=-1s'], 'SPEC_INVALID', /--checkpoint-every: expected/],
    [['--checkpoint', '/tmp/a'], 'SPEC_INVALID', /must be \/out\//],
    [['split.json', ...SAVE], 'SPEC_INVALID', /checkpoint and split exclude each other/],
    [['--resume', 'job', ...SAVE], 'USAGE', /leave --checkpoint out/],
    [['--resume', 'job', '--checkpoint-every', '1s'], 'USAGE', /leave --checkpoint-every out/],
    [
      ['--resume', 'job', '--verify', '--accept', 'quorum'],
      'USAGE',
      /leave --verify, --accept out/,
    ],
  ] as const)('with %j ends with 2 before anybody is asked', async (options, code, message) => {
    const image = options.includes('--resume' as never) ? [] : ['--image', 'a']
    const ended = await room.run('run', '--jsonl', ...image, ...options)
    expect(ended.code).toBe(2)
    expect(linesOf(ended)).toMatchObject([{ error: { code } }])
    expect(ended.stderr).toMatch(message)
  })
})

describe.skipIf(!liveTreesSupported)('a run with --checkpoint', () => {
  let room: Awaited<ReturnType<typeof commandRoom>>
  let host: Running
  let address: string
  beforeAll(async () => {
    room = await commandRoom()
    const listen = ['--listen', '/ip4/127.0.0.1/tcp/0']
    host = room.start(['host', '--runtime', 'scripted', '--cpus', '4', ...listen, '--jsonl'])
    address = (await host.line((line) => line['event'] === 'ready'))['addresses'][0]
  })
  afterAll(() => room[Symbol.asyncDispose]())

  const run = (...tokens: string[]) =>
    room.start([
      ...['run', '--bootstrap', address, '--runtime', 'scripted', '--image', 'any', '--jsonl'],
      ...['--checkpoint', '/out/state/**', '--checkpoint-every', '1s', '--', 'run', ...tokens],
    ])
  const runs = (line: Line) => line['event'] === 'attempt' && line['phase'] === 'running'

  it('goes on from what it left when its attempt is killed, and when it is resumed', async () => {
    const first = run('--write', 'state/step=12', '--write', 'other=x', '--hang')
    const saved = await first.line((line) => line['event'] === 'checkpoint')
    const { attempt, root } = saved
    expect(saved).toMatchObject({ task: '1', bytes: 2, host: expect.stringMatching(/^12D3Koo/) })
    expect((await room.run('kill', attempt)).code).toBe(0)
    await first.line((line) => line['startedFrom'] !== undefined)
    const again = await first.line((line) => runs(line) && line['attempt'] !== attempt)
    expect(first.lines().findLast((line) => line['startedFrom'])).toMatchObject({
      attempt: again['attempt'],
      startedFrom: { attempt, root, bytes: 2 },
    })
    first.process.kill('SIGINT')
    expect((await first.ended).code).toBe(130)
    const { job } = first.lines()[0]!
    const second = room.start(['run', '--resume', job, '--bootstrap', address, '--jsonl'])
    const begun = await second.line((line) => line['startedFrom'] !== undefined)
    expect(begun['startedFrom']).toMatchObject({ root })
    second.process.kill('SIGINT')
    expect((await second.ended).code).toBe(130)
  })

  it('ends with 0, 1 and 124 as any other', async () => {
    const fine = run('--write', 'state/step=1')
    const failing = run('--write', 'state/step=1', '--exit', '3')
    expect((await fine.ended).code).toBe(0)
    expect((await failing.ended).code).toBe(1)
    const late = room.start([
      ...['run', '--bootstrap', address, '--runtime', 'scripted', '--image', 'any', '--jsonl'],
      ...['--checkpoint', '/out/a', '--timeout', '200ms', '--retries', '0'],
      ...['--', 'run', '--hang'],
    ])
    expect((await late.ended).code).toBe(124)
  })
})
