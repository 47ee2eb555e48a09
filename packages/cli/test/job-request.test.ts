import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { jobRequest, type RunFlags } from '../src/borrow/job-request.ts'

let cwd: string
beforeEach(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'manyhands-request-'))
})
afterEach(() => rm(cwd, { recursive: true }))

const request = (flags: Partial<RunFlags>, file?: string, rest?: string[]) =>
  jobRequest(file, { wait: '10s', ...flags }, { cwd, rest, stdin: Readable.from([]) })

it('makes a spec of options', async () => {
  await writeFile(join(cwd, 'scene.blend'), '')
  const { spec, waitMs, bootstrap } = await request(
    {
      image: 'blender:*',
      tasks: '1-3',
      in: ['scene.blend:/in/a/scene.blend', 'scene.blend'],
      runtime: 'docker',
      cpus: 2,
      memory: '1GiB',
      disk: '2GiB',
      pids: 10,
      timeout: '5s',
      retries: 0,
      env: { A: 'b' },
      name: 'frames',
      host: ['12D3KooA', '12D3KooB'],
      bootstrap: ['/ip4/127.0.0.1/tcp/1'],
    },
    undefined,
    ['blender', '-f', '{{item}}'],
  )
  expect(spec).toEqual({
    image: 'blender:*',
    tasks: '1-3',
    command: ['blender', '-f', '{{item}}'],
    inputs: {
      '/in/a/scene.blend': join(cwd, 'scene.blend'),
      '/in/scene.blend': join(cwd, 'scene.blend'),
    },
    runtime: 'docker',
    resources: { cpus: 2, memory: 1024 ** 3, disk: 2 * 1024 ** 3, pids: 10 },
    timeout: 5000,
    retry: { attempts: 1 },
    env: { A: 'b' },
    name: 'frames',
    hosts: { only: ['12D3KooA', '12D3KooB'], wait: 10_000 },
  })
  expect(waitMs).toBe(10_000)
  expect(bootstrap).toEqual(['/ip4/127.0.0.1/tcp/1'])
})

it('reads what may be sent and received', async () => {
  const { transfer } = await request({ image: 'a', uploadLimit: '10MiB/s' })
  expect(transfer).toEqual({ upload: 10 * 1024 ** 2 })
  await expect(request({ image: 'a', downloadLimit: '10MiB' })).rejects.toMatchObject({
    code: 'SPEC_INVALID',
    message: expect.stringMatching(/^--download-limit: expected bytes per second/),
  })
  await expect(request({ image: 'a', uploadLimit: '1KiB/s' })).rejects.toThrow(/at least 64.0 KiB/)
})

it('takes one task when none are named', async () => {
  expect((await request({ image: 'a' })).spec.tasks).toBe('1')
})

it('reads a file with comments, and takes its paths as places beside it', async () => {
  await mkdir(join(cwd, 'jobs'))
  await writeFile(join(cwd, 'jobs', 'scene'), '')
  await writeFile(
    join(cwd, 'jobs', 'job.json'),
    `{
      // the renderer
      "runtime": "wasm", "image": "render.wasm",
      "tasks": ["a", "b"], /* two */
      "inputs": { "/in/scene": "./scene", "/in/text": { "text": "// stays" } },
      "args": ["{{item}}"],
    }`,
  )
  const { spec } = await request({}, 'jobs/job.json')
  expect(spec).toEqual({
    runtime: 'wasm',
    image: join(cwd, 'jobs', 'render.wasm'),
    tasks: ['a', 'b'],
    inputs: { '/in/scene': join(cwd, 'jobs', 'scene'), '/in/text': { text: '// stays' } },
    args: ['{{item}}'],
    hosts: { wait: 10_000 },
  })
})

it('lets options replace fields of the file, one by one', async () => {
  await writeFile(
    join(cwd, 'job.json'),
    JSON.stringify({
      image: 'a',
      tasks: '1-9',
      args: ['x'],
      env: { A: '1', B: '1' },
      resources: { cpus: 1, memory: '1GiB' },
      hosts: { max: 3, wait: '1m' },
    }),
  )
  const { spec } = await request(
    { tasks: '1', env: { B: '2' }, cpus: 4, host: ['12D3KooA'] },
    'job.json',
    ['run'],
  )
  expect(spec).toEqual({
    image: 'a',
    tasks: '1',
    command: ['run'],
    env: { A: '1', B: '2' },
    resources: { cpus: 4, memory: '1GiB' },
    hosts: { max: 3, wait: '1m', only: ['12D3KooA'] },
  })
})

it.each([
  ['no image', {}, undefined, 'USAGE', /--image/],
  ['a backward range', { image: 'a', tasks: '5-1' }, undefined, 'RANGE_INVALID', /1-5/],
  ['no range', { image: 'a', tasks: 'x' }, undefined, 'RANGE_INVALID', /'x'/],
  ['a bad size', { image: 'a', memory: '1 lot' }, undefined, 'SPEC_INVALID', /--memory/],
  ['a bad duration', { image: 'a', timeout: '5' }, undefined, 'SPEC_INVALID', /--timeout/],
  ['an unsafe path', { image: 'a', in: ['.:/in/../x'] }, undefined, 'SPEC_INVALID', /inputs/],
  ['no path', { image: 'a', in: [':/in/x'] }, undefined, 'USAGE', /:\/in\/x/],
  ['a missing input', { image: 'a', in: ['no:/in/x'] }, undefined, 'INPUT_UNREADABLE', /no/],
  ['a missing file', {}, 'no.json', 'INPUT_UNREADABLE', /no\.json/],
  ['an unknown field', {}, 'unknown.json', 'SPEC_INVALID', /unknown field 'imagee'/],
  [
    'a broken file',
    {},
    'broken.json',
    'SPEC_INVALID',
    /broken\.json: not JSON: .*line 2 column 10/s,
  ],
  ['no object', {}, 'list.json', 'SPEC_INVALID', /object/],
] as const)('refuses %s', async (_, flags, file, code, message) => {
  await writeFile(join(cwd, 'unknown.json'), '{"image":"a","tasks":"1","imagee":"b"}')
  await writeFile(join(cwd, 'broken.json'), '{\n "image" "a" }')
  await writeFile(join(cwd, 'list.json'), '[]')
  await expect(request({ ...flags, in: [...('in' in flags ? flags.in : [])] }, file))
    .rejects //
    .toMatchObject({ code, exitCode: 2, message: expect.stringMatching(message) })
})

it('creates the directory for outputs, or says why not, before anything runs', async () => {
  await request({ image: 'a', out: 'frames/today' })
  expect(await readdir(join(cwd, 'frames'))).toEqual(['today'])
  await writeFile(join(cwd, 'file'), '')
  await expect(request({ image: 'a', out: 'file' })).rejects.toMatchObject({ exitCode: 2 })
})
