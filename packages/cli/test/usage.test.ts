import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { commandRoom, linesOf } from './command.ts'

let room: Awaited<ReturnType<typeof commandRoom>>
beforeAll(async () => {
  room = await commandRoom()
})
afterAll(() => room[Symbol.asyncDispose]())

it('prints its version and its help', async () => {
  const [version, help, ofRun] = await Promise.all([
    room.run('--version'),
    room.run('--help'),
    room.run('help', 'run'),
  ])
  const manifest = JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8'))
  expect(version).toMatchObject({ code: 0, stdout: `${manifest.version}\n`, stderr: '' })
  expect(help.code).toBe(0)
  for (const command of [
    ...['host', 'ps', 'stats', 'kill', 'pause', 'resume', 'limit', 'drain', 'policy', 'explain'],
    ...['block', 'unblock', 'blocked', 'run', 'hosts', 'doctor', 'gc', 'config'],
  ]) {
    expect(help.stdout).toMatch(new RegExp(`^  ${command}\\b`, 'm'))
  }
  expect(ofRun.stdout).toContain('manyhands run [SPEC.json] [options] [-- ARGV...]')
})

it.each([
  [['nonsense'], 2, 'USAGE', /unknown command 'nonsense'/],
  [['run', '--nonsense'], 2, 'USAGE', /unknown option '--nonsense'/],
  [['run', '--inputs', 'a'], 2, 'USAGE', /unknown option '--inputs' \(Did you mean --in\?\)/],
  [['run'], 2, 'USAGE', /--image/],
  [['run', '--image', 'a', '--tasks', '5-1', '--', 'x'], 2, 'RANGE_INVALID', /1-5/],
  [['run', '--image', 'a', '--cpus', 'many'], 2, 'USAGE', /--cpus.*above 0/],
  [['run', '--image', 'a', '--in', 'missing:/in/x'], 2, 'INPUT_UNREADABLE', /missing/],
  [['run', '--image', 'a', '--timeout', 'soon'], 2, 'SPEC_INVALID', /--timeout/],
  [['run', 'unknown.json'], 2, 'SPEC_INVALID', /unknown field 'imagee'/],
  [['run', '--image', 'a', '--tasks', '1'], 4, 'NO_HOSTS', /no host/],
  [['host', '--runtime', 'microvm'], 2, 'USAGE', /needs a kernel/],
  [['kill'], 2, 'USAGE', /--all/],
  [['kill', 'x'], 5, 'CONNECT_FAILED', /no host runs/],
  [['kill', 'x', '--all'], 2, 'USAGE', /--all/],
  [['limit', 'x', '--cpus', '-1'], 2, 'USAGE', /--cpus.*above 0/],
  [['limit', 'x', '--memory', '-1'], 2, 'SPEC_INVALID', /--memory/],
  [['pause'], 2, 'USAGE', /missing required argument 'id'/],
  [['drain', '--finish', '--deadline', '1s'], 2, 'USAGE', /--finish/],
  [['drain', '--deadline', '-1s'], 2, 'SPEC_INVALID', /--deadline/],
  [['drain', '--finish', '--stop'], 5, 'CONNECT_FAILED', /no host runs/],
  [['policy'], 5, 'CONNECT_FAILED', /no host runs/],
  [['policy', 'check'], 2, 'USAGE', /missing required argument 'file'/],
  [['policy', 'check', 'missing.json'], 7, 'CONFIG_INVALID', /cannot read/],
  [['policy', 'check', 'bad-policy.json'], 7, 'CONFIG_INVALID', /client: unknown setting/],
  [['policy', 'set', 'bad-policy.json'], 7, 'CONFIG_INVALID', /client: unknown setting/],
  [['policy', 'bad-policy.json'], 7, 'CONFIG_INVALID', /client: unknown setting/],
  [['explain', '--image', 'x'], 2, 'USAGE', /--client/],
  [['explain', '--client', 'x', '--image', 'y'], 5, 'CONNECT_FAILED', /no host runs/],
  [['gc'], 7, 'CONFIG_INVALID', /there is no state of a host or a client in/],
  [['gc', '--keep', 'all'], 2, 'SPEC_INVALID', /--keep/],
  [['gc', '--state', 'missing', '--dry-run'], 7, 'CONFIG_INVALID', /missing/],
  [['unblock', 'x'], 5, 'CONNECT_FAILED', /no host runs/],
  [['blocked'], 5, 'CONNECT_FAILED', /no host runs/],
  [['host', '--gpus', ','], 2, 'USAGE', /--gpus/],
  [['host', '--only-when-idle', 'long'], 7, 'CONFIG_INVALID', /onlyWhenIdle/],
  [['host', '--hours', 'nights'], 7, 'CONFIG_INVALID', /hours/],
  [['stats', '--by', 'colour'], 2, 'USAGE', /--by/],
  [['stats', 'x', '--by', 'job'], 2, 'USAGE', /--by/],
  [['stats'], 5, 'CONNECT_FAILED', /no host runs/],
  [['limit', 'x'], 2, 'USAGE', /--cpus/],
  [['ps'], 5, 'CONNECT_FAILED', /no host runs/],
  [['ps', '--state', 'stale'], 5, 'CONNECT_FAILED', /no host listens/],
  [['hosts'], 4, 'NO_HOSTS', /no host/],
  [['hosts', '--bootstrap', '/ip4/127.0.0.1/tcp/1'], 5, 'CONNECT_FAILED', /./],
  [['hosts', '--bootstrap', 'nonsense'], 2, 'ADDRESS_INVALID', /nonsense/],
  [['host', '--policy', 'bad-policy.json'], 7, 'CONFIG_INVALID', /client: unknown setting/],
  [['host', '--network', 'lab'], 7, 'CONFIG_INVALID', /--network/],
  [['host', '--runtime', 'vapour'], 2, 'USAGE', /vapour/],
] as const)('%j ends with %i %s', async (args, code, error, message) => {
  await mkdir(room.path('stale'), { recursive: true })
  await Promise.all([
    writeFile(room.path('unknown.json'), '{"image":"a","tasks":"1","imagee":"b"}'),
    writeFile(room.path('bad-policy.json'), '{"client":[]}'),
    writeFile(
      room.path('stale', 'control.json'),
      '{"url":"http://127.0.0.1:1","token":"t","pid":1,"peerId":"p","version":"0"}',
    ),
  ])
  // `--` ends the options: the format has to be asked for before.
  const at = (args as readonly string[]).indexOf('--')
  const asked = [...args]
  asked.splice(at === -1 ? asked.length : at, 0, '--jsonl' as never)
  const ended = await room.run(...asked)
  expect(ended).toMatchObject({ code })
  expect(ended.stderr).toMatch(new RegExp(`^error ${error}: .+\nhint: .+\n$`))
  expect(ended.stderr).toMatch(message)
  const [line, ...more] = linesOf(ended)
  expect(more).toEqual([])
  expect(line).toMatchObject({
    v: 1,
    time: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
    event: 'error',
    error: { code: error, hint: expect.any(String), blame: expect.any(String) },
  })
  expect(line!['error'].message).toMatch(message)
})

it('tells errors to people without a stack, unless they ask, and writes nothing to stdout', async () => {
  const [plain, debug] = await Promise.all([room.run('ps'), room.run('ps', '--debug')])
  expect(plain.stdout).toBe('')
  expect(plain.stderr).not.toContain('    at ')
  expect(debug.stderr).toContain('    at ')
})

it('prints an error as the one document of --json', async () => {
  const ended = await room.run('ps', '--json')
  expect(JSON.parse(ended.stdout)).toMatchObject({ v: 1, event: 'error' })
})

it('says where state lives', async () => {
  const { code, stdout } = await room.run('config', '--json')
  expect(code).toBe(0)
  const home = room.path('home')
  expect(JSON.parse(stdout)).toMatchObject({
    home,
    hostState: join(home, 'host'),
    control: join(home, 'host', 'control.json'),
  })
})

it('examines this computer', async () => {
  const ended = await room.run('doctor', '--runtime', 'wasm', '--json')
  expect(ended.code).toBe(0)
  const { checks, usable } = JSON.parse(ended.stdout)
  expect(usable).toBe(true)
  const names = checks.map((check: { name: string }) => check.name)
  expect(names).toEqual([
    'node',
    'computer',
    'runtime wasm',
    'isolation of wasm',
    'state directory',
    'network',
    'clock',
    'sensors',
  ])
  expect(checks[2]).toMatchObject({
    ok: true,
    state: 'ok',
    runtime: 'wasm',
    attributes: expect.any(Object),
  })
})

it('ends with 6 when the runtime asked for cannot be used', async () => {
  const away = { DOCKER_HOST: 'unix:///nowhere/docker.sock' }
  const doctor = room.start(['doctor', '--runtime', 'docker', '--json'], away)
  const host = room.start(['host', '--runtime', 'docker', '--state', 'no-engine'], away)
  const [examined, refused] = await Promise.all([doctor.ended, host.ended])
  expect(examined.code).toBe(6)
  const check = JSON.parse(examined.stdout).checks[2]
  expect(check).toMatchObject({ ok: false, runtime: 'docker', todo: expect.any(String) })
  expect(refused.code).toBe(6)
  expect(refused.stderr).toMatch(/^error RUNTIME_UNAVAILABLE: /m)
})

it('tells that what is wrong with an option is to be corrected there', async () => {
  const { stderr } = await room.run('gc', '--keep', 'all')
  expect(stderr).toMatch(/hint: Correct --keep/)
  expect((await room.run('run', 'unknown.json')).stderr).toMatch(/hint: .*job spec/)
})
