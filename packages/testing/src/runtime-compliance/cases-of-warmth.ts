import { readdir } from 'node:fs/promises'
import { codeIn, codeOf, complianceCase } from './case.ts'
import { until } from './fixture.ts'

const MIB = 1024 ** 2
const CLEAN = { exitCode: 0, oom: false, reason: 'exited' }

/** Cases about one task after another in the same sandbox. */
export const CASES_OF_WARMTH = {
  'a warm sandbox runs one task after another, each with its own /out and output': complianceCase(
    ['write', 'echo'],
    async (t) => {
      const warm = await t.fixture.startWarm(t.programs.echo([]))
      for (const name of ['first', 'second', 'third']) {
        const wrote = await warm.start(t.programs.write(`${name}/file`, name))
        t.expect(await wrote.task.wait()).toMatchObject(CLEAN)
        t.expect(await readdir(warm.sandbox.outDir)).toEqual([name])
        t.expect(await wrote.file(`${name}/file`)).toBe(name)
        if (t.fixture.runtime.capabilities.image === 'named') {
          t.expect(/^sha256:[0-9a-f]{64}$/.test(wrote.task.image ?? '')).toBe(true)
        }
        await wrote.task.remove()
        const said = await warm.start(t.programs.echo([name]))
        t.expect(await said.output()).toEqual({ stdout: `${name}\n`, stderr: '' })
        t.expect(await said.task.wait()).toMatchObject(CLEAN)
        t.expect(await readdir(warm.sandbox.outDir)).toEqual([])
        await said.task.remove()
      }
      t.expect(warm.sandbox.usable).toBe(true)
      await warm.sandbox.close()
      t.expect(warm.sandbox.usable).toBe(false)
      await warm.sandbox.close()
    },
  ),

  'each task of a warm sandbox has its own inputs and variables': complianceCase(
    ['read', 'env'],
    async (t) => {
      const warm = await t.fixture.startWarm(t.programs.env('A'))
      for (const name of ['one', 'two']) {
        const read = await warm.start(t.programs.read(`deep/${name}`), {
          inputs: { [`deep/${name}`]: name },
        })
        t.expect((await read.output()).stdout).toBe(name)
        await read.task.remove()
        const env = await warm.start(t.programs.env('WHO'), { env: { WHO: name } })
        t.expect((await env.output()).stdout).toBe(`${name}\n`)
        await env.task.remove()
      }
      const gone = await warm.start(t.programs.read('deep/one'), { inputs: { 'deep/two': '2' } })
      t.expect((await gone.output()).stdout).toBe('')
      t.expect((await gone.task.wait()).exitCode === 0, 'an earlier input was read').toBe(false)
      await gone.task.remove()
    },
  ),

  'a setup runs once, and what it keeps is there for every task': complianceCase(
    ['keep', 'kept'],
    async (t) => {
      const { command: setup } = t.programs.keep('a scene')
      const warm = await t.fixture.startWarm(t.programs.kept(), { setup })
      for (let round = 0; round < 3; round += 1) {
        const { task, output } = await warm
          .start(t.programs.kept())
          .then((started) => ({ task: started.task, output: started.output() }))
        t.expect((await output).stdout).toBe('a scene')
        t.expect(await task.wait()).toMatchObject(CLEAN)
        await task.remove()
      }
    },
  ),

  'a setup that fails is told, and leaves nothing': complianceCase(['exit', 'spin'], async (t) => {
    const failing = t.programs.exit(3)
    const error: unknown = await t.fixture
      .startWarm(failing, { setup: failing.command })
      .catch((thrown: unknown) => thrown)
    t.expect(codeIn(error)).toBe('SETUP_FAILED')
    const endless = t.programs.spin()
    const late = t.fixture.startWarm(endless, { setup: endless.command, maxRuntimeMs: 700 })
    t.expect(await codeOf(late)).toBe('SETUP_FAILED')
    const aborting = new AbortController()
    const aborted = t.fixture.startWarm(endless, {
      setup: endless.command,
      signal: aborting.signal,
    })
    setTimeout(() => aborting.abort(), 300)
    t.expect(await aborted.catch((thrown: unknown) => thrown)).toBe(aborting.signal.reason)
    t.expect(await t.fixture.runtime.list()).toEqual([])
  }),

  'a warm sandbox ends with the first task that fails': complianceCase(['exit'], async (t) => {
    const warm = await t.fixture.startWarm(t.programs.exit(0))
    const fine = await warm.start(t.programs.exit(0))
    t.expect(await fine.task.wait()).toMatchObject(CLEAN)
    await fine.task.remove()
    const failed = await warm.start(t.programs.exit(7))
    t.expect(await failed.task.wait()).toMatchObject({ exitCode: 7, reason: 'exited' })
    t.expect(warm.sandbox.usable).toBe(false)
    await failed.task.remove()
    t.expect(await codeOf(warm.start(t.programs.exit(0)))).toBe('RUNTIME_FAILED')
  }),

  'kill ends a task of a warm sandbox, and the sandbox': complianceCase(['spin'], async (t) => {
    const warm = await t.fixture.startWarm(t.programs.spin())
    const { task } = await warm.start(t.programs.spin())
    await task.kill()
    t.expect((await task.wait()).reason).toBe('stopped')
    t.expect(warm.sandbox.usable).toBe(false)
    await task.remove()
    await task.remove()
    await warm.sandbox.close()
    t.expect(await t.fixture.runtime.list()).toEqual([])
  }),

  'each task of a warm sandbox has its longest run time and its disk quota': complianceCase(
    ['spin', 'fill'],
    async (t) => {
      const resources = { diskBytes: 8 * MIB }
      const slow = await t.fixture.startWarm(t.programs.spin(), { resources })
      const spun = await slow.start(t.programs.spin(), { maxRuntimeMs: 700 })
      t.expect((await spun.task.wait()).reason).toBe('max-runtime')
      t.expect(slow.sandbox.usable).toBe(false)
      const large = await t.fixture.startWarm(t.programs.spin(), { resources })
      const filled = await large.start(t.programs.fill(64 * MIB))
      t.expect((await filled.task.wait()).reason).toBe('disk')
      t.expect(large.sandbox.usable).toBe(false)
    },
  ),

  'what a task of a warm sandbox leaves behind does not reach the next': complianceCase(
    ['leave', 'sleep'],
    async (t) => {
      const warm = await t.fixture.startWarm(t.programs.leave())
      for (let round = 0; round < 2; round += 1) {
        const left = await warm.start(t.programs.leave())
        t.expect(await left.task.wait()).toMatchObject(CLEAN)
        await left.task.remove()
        const next = await warm.start(t.programs.sleep(300))
        t.expect(await next.task.wait()).toMatchObject(CLEAN)
        t.expect(await readdir(warm.sandbox.outDir)).toEqual([])
        await next.task.remove()
      }
    },
  ),

  'a warm sandbox is used by one task at a time': complianceCase(['spin'], async (t) => {
    const warm = await t.fixture.startWarm(t.programs.spin())
    const { task } = await warm.start(t.programs.spin())
    t.expect(await codeOf(warm.start(t.programs.spin()))).toBe('RUNTIME_FAILED')
    await task.kill()
  }),

  'usage of a task in a warm sandbox is its own': complianceCase(['spin', 'exit'], async (t) => {
    const warm = await t.fixture.startWarm(t.programs.exit(0))
    const first = await warm.start(t.programs.exit(0, 600))
    t.expect(await first.task.wait()).toMatchObject(CLEAN)
    const { elapsedMs } = await first.task.stats()
    t.expect(elapsedMs).toBeGreaterThan(500)
    await first.task.remove()
    const second = await warm.start(t.programs.spin())
    const begun = performance.now()
    await until(async () => (await second.task.stats()).cpuMs > 20, 'it has used some time')
    const now = await second.task.stats()
    t.expect(now.elapsedMs).toBeLessThanOrEqual(performance.now() - begun + 2000)
    t.expect(now.cpuMs).toBeGreaterThan(20)
    await second.task.kill()
  }),
} as const
