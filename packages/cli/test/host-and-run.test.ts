import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { liveTreesSupported } from '@manyhands/core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { testProgram } from '../../wasm-runtime/test/programs.ts'
import { commandRoom, type Line, linesOf, type Running } from './command.ts'

let room: Awaited<ReturnType<typeof commandRoom>>
let host: Running
let ready: Line
const LISTEN = ['--listen', '/ip4/127.0.0.1/tcp/0']

beforeAll(async () => {
  room = await commandRoom()
  host = room.start(['host', '--runtime', 'scripted,wasm', '--cpus', '4', ...LISTEN, '--jsonl'])
  ready = await host.line((line) => line['event'] === 'ready')
})
afterAll(() => room[Symbol.asyncDispose]())

/** Starts a job of the scripted runtime, with options before the script's tokens. */
const scripted = (options: string[], ...tokens: string[]) =>
  room.start([
    'run',
    '--runtime',
    'scripted',
    '--image',
    'any',
    '--bootstrap',
    ready['addresses'][0],
    ...options,
    '--jsonl',
    '--',
    'run',
    ...tokens,
  ])
const attempts = async () => JSON.parse((await room.run('ps', '--json')).stdout) as Line[]
/** Attempts that are not over; what a client has not heard of yet is listed longer. */
const living = async () =>
  (await attempts()).filter(({ phase }) => !['canceled', 'evicted', 'failed'].includes(phase))

it('says first how the host is reached', async () => {
  expect(host.lines()[0]).toEqual(ready)
  expect(ready).toEqual({
    v: 1,
    time: expect.any(String),
    event: 'ready',
    peerId: expect.stringMatching(/^12D3Koo/),
    addresses: [expect.stringMatching(/^\/ip4\/127\.0\.0\.1\/tcp\/\d+\/p2p\/12D3Koo/)],
    control: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/),
  })
  const control = room.path('home', 'host', 'control.json')
  expect((await stat(control)).mode & 0o777).toBe(0o600)
  expect(JSON.parse(await readFile(control, 'utf8'))).toMatchObject({
    url: ready['control'],
    peerId: ready['peerId'],
    pid: host.process.pid,
  })
})

it('lists the hosts seen', async () => {
  const address = ready['addresses'][0]
  const enough = await room.run('hosts', '--bootstrap', address, '--wait', '1', '--json')
  expect(enough.code).toBe(0)
  expect(JSON.parse(enough.stdout)).toMatchObject([{ peerId: ready['peerId'], cpus: 4 }])
  const few = ['--wait', '2', '--timeout', '300ms', '--json']
  const short = await room.run('hosts', '--bootstrap', address, ...few)
  expect(short.code).toBe(4)
  expect(JSON.parse(short.stdout)).toHaveLength(1)
  expect(short.stderr).toContain('only 1 of 2 hosts')
})

it('says how a host is connected, and follows hosts until it is interrupted', async () => {
  const address = ready['addresses'][0]
  const seen = await room.run('hosts', '--bootstrap', address, '--json')
  expect(JSON.parse(seen.stdout)).toMatchObject([
    { connection: 'direct', ageMs: expect.any(Number) },
  ])

  const watching = room.start(['hosts', '--bootstrap', address, '--watch', '--jsonl'])
  const { peerId } = ready
  await watching.line(({ event }) => event === 'host')
  const connection = await watching.line(({ event, rttMs }) => event === 'connection' && rttMs > 0)
  expect(connection).toMatchObject({ peerId, connection: 'direct' })
  expect(connection['bytesInPerSecond']).toBeGreaterThanOrEqual(0)
  watching.process.kill('SIGINT')
  expect((await watching.ended).code).toBe(130)

  const piped = await room.run('hosts', '--bootstrap', address, '--watch')
  expect(piped.code).toBe(2)
  expect(piped.stderr).toContain('--jsonl')
})

describe('run', () => {
  it('follows a job in lines and saves its outputs', async () => {
    await mkdir(room.path('scene'))
    await writeFile(room.path('scene', 'a.txt'), 'from the client')
    const ended = await scripted(
      ['--tasks', '1-3', '--out', 'out', '--in', 'scene:/in/scene', '--in', 'scene/a.txt:/in/one'],
      ...['--write', 'a/b.txt=hello', '--copy', 'scene/a.txt=copied', '--copy', 'one=one'],
      ...['--stdout', 'said', '--for', '1ms'],
    ).ended
    expect(ended).toMatchObject({ code: 0, stderr: '' })
    const lines = linesOf(ended)
    for (const line of lines) {
      expect(line).toMatchObject({ v: 1, time: expect.stringMatching(/^\d{4}-.*Z$/) })
    }
    const job = lines[0]!['job']
    expect(lines[0]).toMatchObject({ event: 'submitted', job: expect.any(String) })
    expect(lines.at(-1)).toMatchObject({
      event: 'job',
      job,
      phase: 'completed',
      counts: { queued: 0, running: 0, completed: 3, failed: 0, canceled: 0, total: 3 },
      bytesUp: expect.any(Number),
      bytesDown: expect.any(Number),
    })
    expect(lines.at(-1)!['bytesDown']).toBeGreaterThan(0)
    const tasks = lines.filter((line) => line['event'] === 'task')
    expect(tasks.map((task) => task['key']).sort()).toEqual(['1', '2', '3'])
    for (const task of tasks) {
      expect(task).toMatchObject({
        job,
        ok: true,
        phase: 'completed',
        exitCode: 0,
        host: ready['peerId'],
        attempts: 1,
        durationMs: expect.any(Number),
        stdoutTail: 'said',
        stderrTail: '',
        saved: room.path('out', task['key']),
      })
      expect(task).not.toHaveProperty('error')
      const read = (name: string) => readFile(room.path('out', task['key'], name), 'utf8')
      expect(await read('a/b.txt')).toBe('hello')
      expect(await read('copied')).toBe('from the client')
      expect(await read('one')).toBe('from the client')
    }
    const attemptLines = lines.filter((line) => line['event'] === 'attempt')
    for (const { key } of tasks as Line[]) {
      const phases = attemptLines
        .filter((line) => line['task'] === key)
        .map((line) => line['phase'])
      expect(phases.at(-1)).toBe('completed')
      expect(phases).toContain('running')
      expect(new Set(phases).size).toBe(phases.length)
    }
    for (const line of attemptLines) {
      expect(line).toMatchObject({ job, attempt: expect.any(String), host: ready['peerId'] })
    }
  })

  it('runs a WebAssembly program of a spec file, told as one document', async () => {
    await mkdir(room.path('specs'))
    await writeFile(room.path('specs', 'program.wasm'), await readFile(await testProgram()))
    await writeFile(
      room.path('specs', 'job.json'),
      JSON.stringify({
        runtime: 'wasm',
        image: 'program.wasm',
        tasks: ['a', 'b/c'],
        command: ['program', 'write', 'item.txt', 'got {{item}}'],
      }),
    )
    const ended = await room.run(
      ...['run', 'specs/job.json', '--bootstrap', ready['addresses'][0]],
      ...['--out', 'wasm-out', '--json'],
    )
    expect(ended, ended.stderr).toMatchObject({ code: 0 })
    expect(JSON.parse(ended.stdout)).toMatchObject({
      v: 1,
      phase: 'completed',
      counts: { completed: 2 },
      tasks: [{ ok: true }, { ok: true }],
    })
    expect((await readdir(room.path('wasm-out'))).sort()).toEqual(['a', 'b%2fc'])
    const saved = await readFile(room.path('wasm-out', 'b%2fc', 'item.txt'), 'utf8')
    expect(saved.trim()).toBe('got b/c')
  })

  it('finds the host of this computer by itself, and talks to people', async () => {
    const ended = await room.run(
      ...['run', '--runtime', 'scripted', '--image', 'any', '--', 'run', '--stdout', 'result'],
    )
    expect(ended.code).toBe(0)
    expect(ended.stdout).toBe('result\n')
    expect(ended.stderr).toMatch(/^completed in .+: 1 task completed/m)
  })

  it('ends with 3 when some failed, 1 when all did, 124 when all were out of time', async () => {
    const some = scripted(
      ['--tasks', '0-1', '--retries', '0'],
      '--exit',
      '{{item}}',
      '--stderr',
      'no',
    )
    const all = scripted(['--tasks', '1-2', '--retries', '0'], '--exit', '3')
    const late = scripted(['--tasks', '1', '--retries', '0', '--timeout', '300ms'], '--hang')
    const missing = room.start([
      ...['run', '--runtime', 'scripted', '--image', 'missing', '--tasks', '1', '--jsonl'],
      ...['--bootstrap', ready['addresses'][0], '--', 'run'],
    ])
    const ends = await Promise.all([some, all, late, missing].map(({ ended }) => ended))
    expect(ends.map(({ code }) => code)).toEqual([3, 1, 124, 1])
    const failed = linesOf(ends[0]!).find((line) => line['event'] === 'task' && !line['ok'])
    expect(failed).toMatchObject({
      key: '1',
      phase: 'failed',
      exitCode: 1,
      attempts: 1,
      stderrTail: 'no',
      error: { code: 'TASK_FAILED', message: expect.any(String), hint: expect.any(String) },
    })
    expect(linesOf(ends[0]!).at(-1)).toMatchObject({
      event: 'job',
      phase: 'failed',
      counts: { completed: 1, failed: 1 },
    })
    expect(linesOf(ends[2]!).find((line) => line['event'] === 'task')).toMatchObject({
      timedOut: true,
      error: { code: 'TASK_TIMEOUT' },
    })
    expect(linesOf(ends[3]!).find((line) => line['event'] === 'task')).toMatchObject({
      error: { code: 'IMAGE_NOT_FOUND' },
    })
  })

  it('counts retries, not attempts', async () => {
    const ended = await scripted(['--retries', '2'], '--exit', '1').ended
    expect(ended.code).toBe(1)
    expect(linesOf(ended).find((line) => line['event'] === 'task')).toMatchObject({ attempts: 3 })
  })

  it('ends with 6 when no host has the runtime, with 4 when the host named is not there', async () => {
    const address = ready['addresses'][0]
    const wait = ['--wait', '400ms', '--image', 'any', '--jsonl']
    const [runtime, peer] = await Promise.all([
      room.run('run', '--bootstrap', address, '--runtime', 'vapour', ...wait),
      room.run(
        'run',
        '--bootstrap',
        address,
        '--runtime',
        'scripted',
        '--host',
        '12D3KooX',
        ...wait,
      ),
    ])
    expect(runtime.code).toBe(6)
    expect(linesOf(runtime)).toMatchObject([{ error: { code: 'RUNTIME_UNAVAILABLE' } }])
    expect(peer.code).toBe(4)
    expect(linesOf(peer)).toMatchObject([{ error: { code: 'NO_HOSTS' } }])
  })

  it.skipIf(!liveTreesSupported)('saves what a task completes while it runs', async () => {
    const run = scripted(
      ['--tasks', '7', '--out', 'early', '--name', 'early'],
      ...['--hang', '--write', 'a/b.txt=hello'],
    )
    const line = await run.line(({ event }) => event === 'output')
    const saved = room.path('early', '7', 'a', 'b.txt')
    expect(line).toMatchObject({ v: 1, time: expect.any(String), task: '7', path: 'a/b.txt' })
    expect(line).toMatchObject({ bytes: 5, executable: false, host: ready['peerId'], saved })
    expect(await readFile(saved, 'utf8')).toBe('hello')
    expect(await readdir(room.path('early', '7', 'a'))).toEqual(['b.txt'])
    run.process.kill('SIGINT')
    const ended = await run.ended
    expect(ended.code).toBe(130)
    expect(linesOf(ended).filter(({ event }) => event === 'output')).toHaveLength(1)
    // What has come stays, whatever becomes of the job.
    expect(await readFile(saved, 'utf8')).toBe('hello')
  })

  it('stops at the first SIGINT, ends with 130 and leaves nothing on the host', async () => {
    const run = scripted(['--tasks', '1-2'], '--hang')
    await run.line((line) => line['event'] === 'attempt' && line['phase'] === 'running')
    run.process.kill('SIGINT')
    const ended = await run.ended
    expect(ended.code).toBe(130)
    expect(linesOf(ended).at(-1)).toMatchObject({ event: 'job', phase: 'paused' })
    expect(ended.stderr).toContain(`manyhands run --resume ${run.lines()[0]!['job']}`)
    await expect.poll(attempts, { timeout: 20_000, interval: 500 }).toEqual([])
  })
})

describe("the owner's rights", () => {
  let run: Running
  let id: string
  beforeAll(async () => {
    run = scripted(['--tasks', '7'], '--hang')
    const running = await run.line((line) => line['phase'] === 'running')
    id = running['attempt']
  })
  afterAll(async () => {
    run.process.kill('SIGINT')
    await run.ended
  })

  it('shows what runs', async () => {
    expect(await attempts()).toEqual([
      expect.objectContaining({
        id,
        phase: 'running',
        client: expect.stringMatching(/^12D3Koo/),
        job: run.lines()[0]!['job'],
        task: '7',
        image: 'any',
        since: expect.stringMatching(/Z$/),
        usage: expect.objectContaining({ cpu: expect.any(Number) }),
        limits: expect.objectContaining({ cpus: 1 }),
      }),
    ])
    const [table, stats, sample] = await Promise.all([
      room.run('ps'),
      room.run('stats', '--once', '--json'),
      room.run('stats', id, '--once'),
    ])
    expect(table.stdout).toMatch(new RegExp(`^ID +PHASE.*\n${id} +running .* 7 +any\n$`))
    expect(JSON.parse(stats.stdout)).toMatchObject([
      { attempt: id, task: '7', phase: 'running', pids: expect.any(Number), limits: { cpus: 1 } },
    ])
    expect(sample.stdout).toMatch(new RegExp(`^attempt +${id}\nphase +running\n`))
    const [one, all, clients, jobs] = await Promise.all([
      room.run('stats', id.slice(0, 8), '--json'),
      room.run('stats'),
      room.run('stats', '--by', 'client', '--json'),
      room.run('stats', '--by', 'job', '--jsonl', '--once'),
    ])
    expect(JSON.parse(one.stdout)).toMatchObject([{ attempt: id, history: expect.any(Array) }])
    expect(all.stdout).toMatch(new RegExp(`^host …\\w+: 1 running[^]*^${id.slice(0, 8)}`, 'm'))
    const { client } = (await attempts())[0]!
    const totals = JSON.parse(clients.stdout)
    expect(totals).toMatchObject({ by: 'client', since: expect.stringMatching(/Z$/) })
    expect(totals.totals).toContainEqual(expect.objectContaining({ client, live: 1 }))
    expect(linesOf(jobs)).toContainEqual(
      expect.objectContaining({ event: 'total', by: 'job', job: run.lines()[0]!['job'], live: 1 }),
    )
  })

  it('streams usage until it is interrupted', async () => {
    const stats = room.start(['stats', '--jsonl'])
    expect(await stats.line((line) => line['event'] === 'usage')).toMatchObject({ attempt: id })
    stats.process.kill('SIGINT')
    expect((await stats.ended).code).toBe(0)
  })

  it('pauses, resumes and limits, by a beginning of the id', async () => {
    const short = id.slice(0, 8)
    expect(JSON.parse((await room.run('pause', short, '--json')).stdout)).toMatchObject({
      id,
      phase: 'paused',
    })
    expect((await room.run('resume', id)).stderr).toBe(`resumed ${id}\n`)
    const limited = await room.run('limit', id, '--cpus', '0.5', '--memory', '64MiB', '--json')
    expect(JSON.parse(limited.stdout)).toMatchObject({
      limits: { cpus: 0.5, memoryBytes: 64 * 1024 ** 2 },
    })
    expect((await room.run('pause', 'ffff')).code).toBe(2)
  })

  it('kills; the client is told by whom and why, and the task is not a failure', async () => {
    const killed = await room.run('kill', id, '--reason', 'need my machine', '--json')
    expect(killed, killed.stderr).toMatchObject({ code: 0 })
    expect(JSON.parse(killed.stdout)).toEqual({ killed: [id], reason: 'need my machine' })
    const evicted = await run.line((line) => line['phase'] === 'evicted')
    expect(evicted).toMatchObject({
      event: 'attempt',
      task: '7',
      attempt: id,
      by: 'host',
      reason: expect.stringContaining('need my machine'),
    })
    expect(run.lines().filter((line) => line['event'] === 'task')).toEqual([])
    await run.line((line) => line['phase'] === 'running' && line['attempt'] !== id)
  })

  it('blocks a client, whose attempts end', async () => {
    const [{ client }] = (await attempts()) as [Line]
    expect((await room.run('block', client)).code).toBe(0)
    await expect.poll(living, { timeout: 20_000, interval: 500 }).toEqual([])
  })
})

it('follows its policy file, and keeps the old rules where that is none', async () => {
  const file = room.path('rules.json')
  await writeFile(file, '{"images":["first:*"],"share":{"cpus":3}}')
  const led = room.start([
    ...['host', '--runtime', 'scripted', ...LISTEN, '--state', 'led', '--memory', '1GiB'],
    ...['--policy', 'rules.json', '--jsonl'],
  ])
  await led.line((line) => line['event'] === 'ready')
  const inForce = async () =>
    JSON.parse((await room.run('policy', '--state', 'led', '--json')).stdout)
  const policies = () => led.lines().filter((line) => line['event'] === 'policy')
  const told = (count: number) =>
    expect.poll(() => policies().length, { timeout: 20_000 }).toBe(count)
  expect(await inForce()).toMatchObject({ policy: { images: ['first:*'] }, share: { cpus: 3 } })

  await writeFile(file, '{"images":"first"}')
  await told(1)
  expect(policies()[0]).toMatchObject({
    applied: false,
    file,
    error: { code: 'CONFIG_INVALID', message: expect.stringContaining('images') },
  })
  await writeFile(file, '{"images":["second:*"]}')
  await told(2)
  expect(policies()[1]).toMatchObject({ applied: true })
  // The section that the file has no longer is the default again, but for what the command line says.
  expect(await inForce()).toMatchObject({
    policy: { images: ['second:*'] },
    share: { memory: 2 ** 30 },
  })
  expect((await inForce()).share).not.toHaveProperty('cpus')
  led.process.kill('SIGHUP')
  await told(3)

  const ask = ['explain', '--state', 'led', '--client', ready['peerId'], '--runtime', 'scripted']
  const [refused, allowed] = await Promise.all([
    room.run(...ask, '--image', 'first:1', '--json'),
    room.run(...ask, '--image', 'second:1', '--json'),
  ])
  expect([refused.code, allowed.code]).toEqual([4, 0])
  const verdicts = JSON.parse(refused.stdout).verdicts as Line[]
  expect(verdicts.find(({ allowed }) => !allowed)).toMatchObject({ rule: 'images' })

  const stopped = await room.run('drain', '--state', 'led', '--finish', '--stop', '--json')
  expect(JSON.parse(stopped.stdout)).toMatchObject({ completed: 0, evicted: 0, stopped: true })
  expect((await led.ended).code).toBe(0)
})

describe('the end of a host', () => {
  it('drains at SIGTERM: what runs finishes, the client gets it, the host ends with 0', async () => {
    const state = ['--state', 'ending']
    const ending = room.start(['host', '--runtime', 'scripted', ...LISTEN, ...state, '--jsonl'])
    const { addresses } = await ending.line((line) => line['event'] === 'ready')
    const run = room.start([
      ...['run', '--runtime', 'scripted', '--image', 'any', '--bootstrap', addresses[0]],
      ...['--out', 'drained', '--jsonl', '--', 'run', '--for', '1500ms', '--write', 'a=b'],
    ])
    await run.line((line) => line['phase'] === 'running')
    ending.process.kill('SIGTERM')
    const [ran, ended] = await Promise.all([run.ended, ending.ended])
    expect(ran.code).toBe(0)
    expect(await readFile(room.path('drained', '1', 'a'), 'utf8')).toBe('b')
    expect(ended.code).toBe(0)
    const drained = linesOf(ended).find((line) => line['event'] === 'drained')
    expect(drained).toMatchObject({ completed: 1, evicted: 0 })
    expect(await readdir(room.path('ending'))).not.toContain('control.json')
  })

  it('ends at once at the second signal, and tells the client that it was evicted', async () => {
    const hurried = room.start([
      ...['host', '--runtime', 'scripted', ...LISTEN, '--state', 'hurried', '--jsonl'],
    ])
    const { addresses } = await hurried.line((line) => line['event'] === 'ready')
    const run = room.start([
      ...['run', '--runtime', 'scripted', '--image', 'any', '--bootstrap', addresses[0]],
      ...['--jsonl', '--', 'run', '--hang'],
    ])
    await run.line((line) => line['phase'] === 'running')
    hurried.process.kill('SIGINT')
    await expect.poll(() => hurried.stderr()).toContain('draining')
    hurried.process.kill('SIGINT')
    expect((await hurried.ended).code).toBe(130)
    run.process.kill('SIGINT')
    expect((await run.ended).code).toBe(130)
  })

  it('drains on request and reports; a state directory belongs to one host', async () => {
    const second = await room.run('host', '--runtime', 'scripted', ...LISTEN, '--jsonl')
    expect(second.code).toBe(7)
    expect(linesOf(second)).toMatchObject([{ error: { code: 'STATE_LOCKED' } }])
    const drained = await room.run('drain', '--deadline', '1s', '--json')
    expect(JSON.parse(drained.stdout)).toMatchObject({ completed: expect.any(Number) })
    const refused = await scripted(['--wait', '500ms']).ended
    expect(refused.code).toBe(4)
  })
})
