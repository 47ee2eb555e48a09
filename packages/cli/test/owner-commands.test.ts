import { mkdir, writeFile } from 'node:fs/promises'
import { type ControlServer, createControlServer, writeControlFile } from '@manyhands/control'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type FakeHost, fakeHost } from '../../control/test/fake-host.ts'
import { commandRoom, linesOf } from './command.ts'

const PEER = `12D3KooW${'a'.repeat(44)}`
let room: Awaited<ReturnType<typeof commandRoom>>
let host: FakeHost
let control: ControlServer
let stopped: boolean

beforeEach(async () => {
  room = await commandRoom()
  host = fakeHost()
  stopped = false
  const stop = () => {
    stopped = true
    void control.close()
  }
  control = await createControlServer({ host, stop })
  const { url, token, version } = control
  await mkdir(room.path('home', 'host'), { recursive: true })
  const document = { url, token, version, pid: process.pid, peerId: host.peerId }
  await writeControlFile(room.path('home', 'host', 'control.json'), document)
})
afterEach(async () => {
  await control.close()
  await room[Symbol.asyncDispose]()
})

describe('policy', () => {
  it('shows what is in force, in words and as a document that can be put back', async () => {
    const [text, json] = await Promise.all([room.run('policy'), room.run('policy', '--json')])
    expect(text, text.stderr).toMatchObject({ code: 0, stderr: '' })
    expect(text.stdout).toMatch(/^share +4 cores, 7\.5 GiB memory/)
    expect(text.stdout).toMatch(/^images +demo:\*$/m)
    expect(text.stdout).toMatch(/^clients +anyone who can connect$/m)
    expect(text.stdout).toMatch(/^longest run +24h 0m$/m)
    expect(JSON.parse(json.stdout)).toEqual({ share: { cpus: 4 }, policy: { images: ['demo:*'] } })
  })

  it('changes sections while the host runs', async () => {
    await writeFile(
      room.path('night.json'),
      '{ "schedule": { "hours": "19:00-07:00" }, /* of the room */ "labels": { "room": "7" } }',
    )
    const changed = await room.run('policy', 'set', 'night.json', '--json')
    expect(changed, changed.stderr).toMatchObject({ code: 0 })
    expect(JSON.parse(changed.stdout)).toMatchObject({
      share: { cpus: 4 },
      schedule: { hours: '19:00-07:00' },
    })
    const short = await room.run('policy', 'night.json')
    expect(short.stdout).toMatch(/^hours +19:00-07:00$/m)
    expect(short.stderr).toContain('labels are read when a host starts')
    expect(host.calls).toEqual([
      ['setPolicy', { schedule: { hours: '19:00-07:00' } }],
      ['setPolicy', { schedule: { hours: '19:00-07:00' } }],
    ])
  })

  it('tells what the host says of a change that it refuses', async () => {
    host.setPolicy = () => Promise.reject(new Error('not today'))
    await writeFile(room.path('p.json'), '{"share":{"cpus":1}}')
    const refused = await room.run('policy', 'p.json', '--json')
    expect(refused.code).toBe(1)
    expect(JSON.parse(refused.stdout)).toMatchObject({ error: { message: 'not today' } })
  })

  it('checks a file without a host', async () => {
    await control.close()
    await writeFile(
      room.path('p.json'),
      JSON.stringify({
        share: { cpus: 2, memory: '1GiB', gpus: 'all' },
        policy: {
          networkProfiles: ['egress'],
          quotas: {
            perClient: { attempts: 4, cpuHoursPerDay: 20 },
            clients: { [PEER]: { transferPerDay: '1GiB' } },
          },
        },
        schedule: { onlyWhenIdle: '5m', notOnBattery: true, pauseWhile: ['steam'] },
      }),
    )
    const checked = await room.run('policy', 'check', 'p.json')
    expect(checked).toMatchObject({ code: 0, stderr: 'p.json is a policy\n' })
    for (const line of [
      /^share +2 cores, 1\.0 GiB memory, GPUs: all$/m,
      /^network +egress$/m,
      /^each client +4 attempts at once, 20 core-hours a day$/m,
      /^ {2}…aaaaaaaa +1\.0 GiB transfer a day$/m,
      /^idle +only after 5m 0s without anybody here$/m,
      /^battery +not while on battery$/m,
      /^pause while +steam$/m,
    ]) {
      expect(checked.stdout).toMatch(line)
    }
    const json = JSON.parse((await room.run('policy', 'check', 'p.json', '--json')).stdout)
    expect(json).toMatchObject({ file: room.path('p.json'), policy: { share: { cpus: 2 } } })
  })
})

describe('explain', () => {
  const asked = ['explain', '--client', PEER, '--image', 'demo:1']

  it('prints every verdict, and ends with 0 when all agree', async () => {
    const ended = await room.run(
      ...[...asked, '--cpus', '2', '--memory', '1GiB', '--gpus', '1', '--gpu-model', 'RTX'],
      ...['--timeout', '30m', '--egress', 'example.org:443'],
    )
    expect(ended).toMatchObject({ code: 0, stderr: 'would be accepted now\n' })
    expect(ended.stdout).toBe('RULE     VERDICT  DETAIL\nclients  ok       anyone\n')
    expect(host.calls).toEqual([
      [
        'explain',
        {
          client: PEER,
          runtime: 'docker',
          image: 'demo:1',
          resources: {
            cpus: 2,
            memoryBytes: 2 ** 30,
            diskBytes: 2 ** 30,
            gpus: 1,
            pids: 256,
          },
          timeoutMs: 1_800_000,
          networkProfile: { egress: ['example.org:443'] },
          gpu: { model: 'RTX' },
        },
      ],
    ])
  })

  it('ends with 4 when one refuses, and says whether later may help', async () => {
    const free = { rule: 'free', allowed: false, detail: 'too much', temporary: true }
    const clients = { rule: 'clients', allowed: false, detail: 'not you', temporary: false }
    host.explain = async () => [free]
    const later = await room.run(...asked)
    expect(later.code).toBe(4)
    expect(later.stdout).toMatch(/^free +not now +too much$/m)
    expect(later.stderr).toBe('would be refused now, may be accepted later\n')
    host.explain = async () => [free, clients]
    const never = await room.run(...asked, '--json')
    expect(never.code).toBe(4)
    expect(JSON.parse(never.stdout)).toEqual({
      allowed: false,
      temporary: false,
      verdicts: [free, clients],
    })
    const lines = await room.run(...asked, '--jsonl')
    expect(linesOf(lines).map(({ event }) => event)).toEqual(['verdict', 'verdict', 'explained'])
  })
})

describe('clients', () => {
  it('are blocked by id, or by the end of one that is known here', async () => {
    expect((await room.run('block', PEER)).stderr).toBe(`blocked ${PEER}\n`)
    const short = await room.run('block', '…Client', '--json')
    expect(JSON.parse(short.stdout)).toEqual({ blocked: '12D3KooClient' })
    const wrong = await room.run('block', 'somebody')
    expect(wrong.code).toBe(2)
    expect(wrong.stderr).toMatch(/^error USAGE: somebody is not a peer id/)
    expect(host.calls).toEqual([
      ['block', PEER],
      ['block', '12D3KooClient'],
    ])
  })

  it('are listed and taken back', async () => {
    const listed = await room.run('blocked', '--json')
    expect(JSON.parse(listed.stdout)).toEqual(['12D3KooOld'])
    expect((await room.run('unblock', 'KooOld')).stderr).toBe('unblocked 12D3KooOld\n')
    const none = await room.run('blocked')
    expect(none).toMatchObject({ code: 0, stdout: '', stderr: 'nobody is blocked\n' })
    const again = await room.run('unblock', PEER)
    expect(again.code).toBe(2)
    expect(again.stderr).toMatch(/^error NOT_FOUND: .* is not blocked/)
  })
})

describe('kill', () => {
  it('ends several at once, and what it can although an id is wrong', async () => {
    const all = await room.run('kill', '--all', '--reason', 'mine', '--json')
    expect(JSON.parse(all.stdout)).toEqual({ killed: ['a1'], reason: 'mine' })
    const some = await room.run('kill', 'wrong', 'a1')
    expect(some.code).toBe(2)
    expect(some.stderr).toMatch(/^killed a1\nerror NOT_FOUND: attempt wrong/)
    expect(host.calls).toEqual([
      ['kill', 'a1', 'mine'],
      ['kill', 'a1', undefined],
    ])
  })

  it('does not wait for an engine that hangs when told so', async () => {
    host.killed = new Promise(() => {})
    const ended = await room.run('kill', 'a1', '--no-wait')
    expect(ended).toMatchObject({ code: 0, stderr: 'ending a1\n' })
  })

  it('has nothing to do where nothing runs', async () => {
    host.attempt.phase = 'completed'
    expect(await room.run('kill', '--all')).toMatchObject({
      code: 0,
      stderr: 'nothing runs here\n',
    })
    expect(host.calls).toEqual([])
  })
})

it('pauses with a reason', async () => {
  host.pause = async (...call) => {
    host.calls.push(['pause', ...call])
  }
  expect((await room.run('pause', 'a1', '--reason', 'a film')).stderr).toBe('paused a1\n')
  expect(host.calls).toEqual([['pause', 'a1', 'a film']])
})

describe('drain', () => {
  it('lets everything finish, and ends the host when told so', async () => {
    const finished = await room.run('drain', '--finish', '--reason', 'night', '--json')
    expect(JSON.parse(finished.stdout)).toEqual({ completed: 2, evicted: 1 })
    expect(stopped).toBe(false)
    const ended = await room.run('drain', '--finish', '--stop')
    expect(ended).toMatchObject({ code: 0 })
    expect(ended.stderr).toBe('drained: 2 finished, 1 ended\nthe host has ended\n')
    expect(stopped).toBe(true)
    expect(host.calls).toEqual([
      ['drain', { deadline: 'never', reason: 'night' }],
      ['drain', { deadline: 'never' }],
    ])
  })

  it('goes on without the one who asked, up to the end of the host', async () => {
    const finish = Promise.withResolvers<{ completed: number; evicted: number }>()
    let asked = 0
    host.drain = () => {
      asked += 1
      return finish.promise
    }
    const drain = room.start(['drain', '--finish', '--stop'])
    await expect.poll(() => asked, { timeout: 20_000 }).toBe(1)
    drain.process.kill('SIGINT')
    const ended = await drain.ended
    expect(ended.code).toBe(130)
    expect(ended.stderr).toContain('the host goes on draining and ends then')
    expect(stopped).toBe(false)
    finish.resolve({ completed: 0, evicted: 0 })
    await expect.poll(() => stopped).toBe(true)
  })
})
