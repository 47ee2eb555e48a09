import { mkdtemp, readFile, readlink, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  DEFAULT_RESOURCES,
  LIMITS,
  type RuntimeSpec,
  type RuntimeTask,
  type Workspace,
} from '@manyhands/core'
import { runtimeCompliance } from '@manyhands/testing/runtime-compliance'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { scripted } from '../src/scripted-runtime.ts'

const image = 'any'
const text = (stdout: string) => ({ image, command: ['run', '--stdout', stdout] })

runtimeCompliance(
  {
    name: 'scripted()',
    create: () => scripted(),
    print: (line) => process.stderr.write(`${line}\n`),
    programs: {
      echo: (args) => text(args.map((arg) => `${arg}\n`).join('')),
      print: (stdout, stderr) => ({
        image,
        command: ['run', '--stdout', stdout, '--stderr', stderr],
      }),
      env: (name) => ({ image, command: ['run', '--env', name] }),
      exit: (code, afterMs = 0) => ({
        image,
        command: ['run', '--exit', `${code}`, ...(afterMs === 0 ? [] : ['--for', `${afterMs}ms`])],
      }),
      spin: () => ({ image, command: ['run', '--hang', '--cpu', '1'] }),
      sleep: (ms) => ({ image, command: ['run', '--for', `${ms}ms`] }),
      ignoreTerm: () => ({
        image,
        command: ['run', '--stdout', 'ready\n', '--ignore-term', '--hang'],
      }),
      write: (path, content) => ({ image, command: ['run', '--write', `${path}=${content}`] }),
      read: (path) => ({ image, command: ['run', '--cat', path] }),
      allocate: (bytes) => ({ image, command: ['run', '--memory', `${bytes}`] }),
      hold: (bytes) => ({ image, command: ['run', '--hang', '--memory', `${bytes}`] }),
      flood: (bytes) => ({ image, command: ['run', '--flood', `${bytes}`] }),
      fill: (bytes) => ({ image, command: ['run', '--hang', '--write', `f=${'x'.repeat(bytes)}`] }),
      keep: (kept) => ({ image, command: ['run', '--keep', kept] }),
      kept: () => ({ image, command: ['run', '--kept'] }),
      tick: () => ({ image, command: ['run', '--hang', '--write', 'ticks=xx'] }),
      badImage: () => ({ image: 'missing', command: ['run'] }),
      badCommand: () => ({ image, command: ['run', '--no-such-token'] }),
    },
    skip: {
      'inputs cannot be changed': 'there is no sandbox, so nothing protects them',
      'the disk quota is kept': 'there is no sandbox, so nothing bounds the disk',
      'the disk quota counts many small files': 'there is no sandbox, so nothing bounds the disk',
      'each task of a warm sandbox has its longest run time and its disk quota':
        'there is no sandbox, so nothing bounds the disk',
      'what a task of a warm sandbox leaves behind does not reach the next':
        'there are no processes to leave behind',
      'output that is no text passes unchanged': 'the output of a script is text',
      'a task is not root': 'there is no sandbox, so there is no user of its own',
      'without a network there is none': 'there is no sandbox and no program that could look',
    },
  },
  { describe, it, expect },
)

describe('scripted()', () => {
  let root: string
  let workspace: Workspace
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'manyhands-scripted-'))
    workspace = { inDir: undefined, outDir: join(root, 'out') }
  })
  afterEach(() => rm(root, { recursive: true }))

  const start = (tokens: string[], over: Partial<RuntimeSpec> = {}): Promise<RuntimeTask> =>
    scripted().start(spec(tokens, over), workspace, { signal: new AbortController().signal })

  it('has ended when start returns, without files or time', async () => {
    const task = await start([])
    expect(await Promise.race([task.wait(), Promise.resolve('pending')])).toMatchObject({
      exitCode: 0,
      reason: 'exited',
    })
  })

  it('writes files and links into an output directory that did not exist', async () => {
    const task = await start(['--write', 'a/b.txt=x=y', '--link', 'l=a/b.txt'])
    expect((await task.wait()).exitCode).toBe(0)
    expect(await readFile(join(workspace.outDir, 'a/b.txt'), 'utf8')).toBe('x=y')
    expect(await readlink(join(workspace.outDir, 'l'))).toBe('a/b.txt')
  })

  it('never writes beside the output directory', async () => {
    const task = await start(['--write', '../../escape=1'])
    expect((await task.wait()).exitCode).toBe(0)
    expect(await readFile(join(workspace.outDir, 'escape'), 'utf8')).toBe('1')
  })

  it('fails a copy whose input is missing, and says which', async () => {
    const task = await start(['--copy', 'in/none=out/none'])
    expect((await task.wait()).exitCode).toBe(1)
    for await (const chunk of task.output()) {
      expect(Buffer.from(chunk.bytes).toString()).toContain('none')
    }
  })

  it('fails to start, runs out of memory and loses its engine when told to', async () => {
    await expect(start(['--fail-start'])).rejects.toMatchObject({ code: 'RUNTIME_FAILED' })
    expect(await (await start(['--oom'])).wait()).toMatchObject({ oom: true, exitCode: 137 })
    expect(await (await start(['--engine-lost'])).wait()).toMatchObject({ reason: 'engine-lost' })
  })

  it('tells a trapped TERM from success', async () => {
    const task = await start(['--hang', '--on-term', '0'])
    await task.stop({ graceMs: 1000 })
    expect(await task.wait()).toMatchObject({ exitCode: 0, reason: 'stopped' })
  })

  it('takes a program instead of tokens', async () => {
    const runtime = scripted({ script: (asked) => ({ exit: asked.attemptId.length }) })
    const task = await runtime.start(spec(['anything']), workspace, {
      signal: new AbortController().signal,
    })
    expect((await task.wait()).exitCode).toBe('attempt.1'.length)
  })

  it('bounds what a script may print', async () => {
    const task = await start(['--stdout', 'x'.repeat(LIMITS.logBytes + 10)])
    let bytes = 0
    for await (const chunk of task.output()) bytes += chunk.bytes.length
    expect(bytes).toBe(LIMITS.logBytes)
  })
})

function spec(tokens: string[], over: Partial<RuntimeSpec> = {}): RuntimeSpec {
  return {
    attemptId: 'attempt.1',
    labels: { host: 'host', client: 'client', job: 'job', attempt: 'attempt.1' },
    image,
    command: ['run', ...tokens],
    env: {},
    resources: DEFAULT_RESOURCES,
    gpuIds: [],
    maxRuntimeMs: 60_000,
    networkProfile: 'none',
    ...over,
  }
}
