import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { docker } from '../src/index.ts'
import { engine, engineForTests, leftovers } from './engine-for-tests.ts'
import { SandboxForTests, textOf, until } from './sandbox-for-tests.ts'
import { WarmForTests } from './warm-for-tests.ts'

const FINE = { exitCode: 0, signal: undefined, oom: false, reason: 'exited' }

describe.skipIf(!(await engineForTests()))('a warm container', () => {
  let sandbox: SandboxForTests
  beforeEach(async () => {
    sandbox = await SandboxForTests.open()
  })
  afterEach(() => sandbox[Symbol.asyncDispose]())

  it('runs one task after another, each with its own output, inputs, variables and /out', async () => {
    const warm = await WarmForTests.open(sandbox)
    const seen: string[] = []
    for (const name of ['ada', 'grace']) {
      const inDir = await warm.staged({ [`deep/${name}`]: `hello ${name}` })
      const script =
        'ls /out; find /in -type f; cat /in/deep/*; echo "$WHO $HOME" >/out/$WHO; echo bad >&2'
      const { stdout, stderr, exit } = await warm.run(script, {
        inDir,
        env: { WHO: name },
        look: async (out) => {
          seen.push(`${await readdir(out)} ${await readFile(join(out, name), 'utf8')}`)
        },
      })
      expect(exit).toEqual(FINE)
      expect(stdout).toBe(`/in/deep/${name}\nhello ${name}`)
      expect(stderr).toBe('bad\n')
    }
    expect(seen).toEqual(['ada ada /tmp\n', 'grace grace /tmp\n'])
    expect(warm.warm.usable).toBe(true)
    await warm.warm.close()
    expect(await leftovers(sandbox.hostInstance)).toEqual([])
    expect(await readdir(join(sandbox.root, 'containers'))).toEqual([])
  })

  it('keeps what its setup left: files in /tmp and a server that answers', async () => {
    const warm = await WarmForTests.open(sandbox, {
      inputs: { model: 'a model' },
      setup:
        'cp /in/model /tmp/model; echo x >/out/x; (while :; do nc -l -p 8080 -e cat /tmp/model; done) & echo up',
    })
    for (let round = 0; round < 3; round += 1) {
      const { stdout, exit } = await warm.run('ls /out; nc 127.0.0.1 8080 </dev/null')
      expect(stdout).toBe('a model')
      expect(exit).toEqual({ ...FINE, shared: true })
    }
    await warm.warm.close()
  })

  it('tells how a setup failed, with what it wrote, and leaves nothing', async () => {
    const open = (setup: string, maxRuntimeMs = 20_000) =>
      WarmForTests.open(sandbox, { setup, spec: { maxRuntimeMs } })
    await expect(open('echo no model >&2; exit 3')).rejects.toMatchObject({
      code: 'SETUP_FAILED',
      message: expect.stringMatching(/exit code 3: no model/),
      details: { stderr: 'no model\n' },
    })
    await expect(open('sleep 100', 700)).rejects.toMatchObject({
      code: 'SETUP_FAILED',
      message: expect.stringMatching(/ran for too long/),
    })
    await expect(
      WarmForTests.open(sandbox, { spec: { setup: ['/no/such'] } }),
    ).rejects.toMatchObject({ code: 'COMMAND_INVALID' })
    expect(await leftovers(sandbox.hostInstance)).toEqual([])
  })

  it.for([
    ['exit 3', { exitCode: 3, signal: undefined, reason: 'exited' }],
    ['exit 137', { exitCode: 137, signal: undefined, reason: 'exited' }],
    ['kill -9 $$', { exitCode: 137, signal: 'SIGKILL', reason: 'exited' }],
    ['kill -SEGV $$', { exitCode: 139, signal: 'SIGSEGV', reason: 'exited' }],
    ['head -c 67108864 /dev/zero | tail | wc -c; sleep 1', { oom: true }],
    ['for f in a b c; do head -c 8388608 /dev/zero >/out/$f; done', { reason: 'disk' }],
    ['exec sleep 100', { reason: 'max-runtime' }],
  ] as const)('ends after %s, and tells it as it was', async ([script, exit]) => {
    const warm = await WarmForTests.open(sandbox, { resources: { memoryBytes: 32 * 1024 ** 2 } })
    expect((await warm.run('true')).exit).toEqual(FINE)
    const ended = await warm.run(script, { maxRuntimeMs: script.startsWith('exec') ? 700 : 20_000 })
    expect(ended.exit).toMatchObject(exit)
    expect(warm.warm.usable).toBe(false)
    await warm.warm.close()
    expect(await leftovers(sandbox.hostInstance)).toEqual([])
  })

  it('says why a command cannot be started, and takes no more', async () => {
    const warm = await WarmForTests.open(sandbox)
    await expect(warm.start('', { command: ['no-such'] })).rejects.toMatchObject({
      code: 'COMMAND_INVALID',
      message: expect.stringMatching(/no such file/),
    })
    expect(warm.warm.usable).toBe(false)
    await warm.warm.close()
  })

  it('is paused, resumed, stopped and killed with the task that runs in it', async () => {
    const warm = await WarmForTests.open(sandbox)
    const task = await warm.start(
      'trap "echo term; exit 0" TERM; echo up; while :; do sleep 0.1; done',
    )
    const output = task.output()[Symbol.asyncIterator]()
    await output.next()
    await task.pause!()
    const { id } = task.handle
    expect((await engine.getContainer(id).inspect()).State.Paused).toBe(true)
    await task.resume!()
    await task.stop({ graceMs: 10_000 })
    expect(await task.wait()).toMatchObject({ exitCode: 0, reason: 'stopped' })
    expect(Buffer.from((await output.next()).value!.bytes).toString()).toBe('term\n')
    await warm.warm.close()
    const other = await WarmForTests.open(sandbox)
    const stubborn = await other.start('trap "" TERM; echo up; while :; do sleep 1; done')
    for await (const _ of stubborn.output()) break
    await stubborn.stop({ graceMs: 200 })
    expect(await stubborn.wait()).toMatchObject({ signal: 'SIGKILL', reason: 'stopped' })
    await stubborn.remove()
    expect(await leftovers(sandbox.hostInstance)).toEqual([])
  })

  it('counts each task alone', async () => {
    const warm = await WarmForTests.open(sandbox)
    const first = await warm.start('i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done')
    await first.wait()
    expect((await first.stats()).cpuMs).toBeGreaterThan(20)
    await first.remove()
    const second = await warm.start('true')
    await second.wait()
    const { cpuMs, elapsedMs } = await second.stats()
    expect(cpuMs).toBeLessThan((await first.stats()).cpuMs / 2)
    expect(elapsedMs).toBeLessThan((await first.stats()).elapsedMs + 1000)
    await warm.warm.close()
  })

  it('is not taken up by another process, but removed; a task in it is told as lost', async () => {
    const warm = await WarmForTests.open(sandbox)
    const task = await warm.start('sleep 100')
    const next = docker({ reaper: false })
    await next.open({ hostInstance: sandbox.hostInstance, stateDir: sandbox.root })
    const [handle] = await next.list()
    expect(handle).toEqual(task.handle)
    expect(await next.recover(handle!)).toBe(undefined)
    expect(await leftovers(sandbox.hostInstance)).toEqual([])
    expect(await task.wait()).toMatchObject({ exitCode: 137, signal: 'SIGKILL' })
    await next.close()
  })

  it('ends when the connection to its host does', async () => {
    const warm = await WarmForTests.open(sandbox)
    const task = await warm.start('trap "" TERM; (sleep 100 &); sleep 100')
    const container = engine.getContainer(task.handle.id)
    const { link } = warm.warm as unknown as { link: { close(): Promise<void> } }
    await link.close()
    await until(async () => !(await container.inspect()).State.Running, 'it has ended')
    expect(await task.wait()).toMatchObject({ exitCode: undefined, reason: 'engine-lost' })
    expect(warm.warm.usable).toBe(false)
    await warm.warm.close()
  })

  it('delivers a flood to its end, and another task’s output does not wait for that', async () => {
    const warm = await WarmForTests.open(sandbox)
    const task = await warm.start('yes | head -c 8388608; echo END')
    expect((await textOf(task)).stdout.slice(-4)).toBe('END\n')
    expect(await task.wait()).toEqual(FINE)
    await task.remove()
    expect((await warm.run('echo next')).stdout).toBe('next\n')
    await warm.warm.close()
  })
})
