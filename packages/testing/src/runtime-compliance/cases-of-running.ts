import { LIMITS } from '@manyhands/core'
import { codeOf, complianceCase } from './case.ts'

const MIB = 1024 ** 2

/** Cases about what a task is given, what it leaves, and how its end is told. */
export const CASES_OF_RUNNING = {
  'success is exit code 0 by itself': complianceCase(['exit'], async (t) => {
    const { task } = await t.fixture.start(t.programs.exit(0))
    t.expect(await task.wait()).toMatchObject({ exitCode: 0, oom: false, reason: 'exited' })
  }),

  'the image that runs is told': complianceCase(['exit'], async (t) => {
    const { task } = await t.fixture.start(t.programs.exit(0))
    await task.wait()
    // A file is known by the root that the host has verified.
    if (t.fixture.runtime.capabilities.image === 'artifact') return
    t.expect(/^sha256:[0-9a-f]{64}$/.test(task.image ?? ''), `image ${task.image}`).toBe(true)
  }),

  'an exit code is passed on': complianceCase(['exit'], async (t) => {
    const { task } = await t.fixture.start(t.programs.exit(42))
    t.expect(await task.wait()).toMatchObject({ exitCode: 42, oom: false, reason: 'exited' })
  }),

  'stdout and stderr are apart': complianceCase(['print'], async (t) => {
    const started = await t.fixture.start(t.programs.print('to out\n', 'to err\n'))
    t.expect(await started.output()).toEqual({ stdout: 'to out\n', stderr: 'to err\n' })
    t.expect((await started.task.wait()).exitCode).toBe(0)
  }),

  'argv arrives exactly': complianceCase(['echo'], async (t) => {
    const args = ['two words', '', `'"$HOME`, '*', '\\n', '-n', '--', 'grün 手 🖐', ' edge ']
    const started = await t.fixture.start(t.programs.echo(args))
    t.expect((await started.output()).stdout).toBe(args.map((arg) => `${arg}\n`).join(''))
  }),

  'environment variables arrive': complianceCase(['env'], async (t) => {
    const value = 'a=b "c" $d ü'
    const started = await t.fixture.start(t.programs.env('GREETING'), { env: { GREETING: value } })
    t.expect((await started.output()).stdout).toBe(`${value}\n`)
  }),

  'inputs are readable': complianceCase(['read'], async (t) => {
    const inputs = { 'deep/down/scene.txt': 'a scene' }
    const started = await t.fixture.start(t.programs.read('deep/down/scene.txt'), { inputs })
    t.expect((await started.output()).stdout).toBe('a scene')
    t.expect((await started.task.wait()).exitCode).toBe(0)
  }),

  'inputs cannot be changed': complianceCase(['overwrite'], async (t) => {
    const started = await t.fixture.start(t.programs.overwrite('a.txt'), {
      inputs: { 'a.txt': 'mine' },
    })
    const exit = await started.task.wait()
    t.expect(exit.exitCode === 0, 'the overwriting program ended with code 0').toBe(false)
    t.expect(await started.input('a.txt')).toBe('mine')
  }),

  'outputs are in the workspace': complianceCase(['write'], async (t) => {
    const started = await t.fixture.start(t.programs.write('deep/a.txt', 'made it'))
    t.expect((await started.task.wait()).exitCode).toBe(0)
    t.expect(await started.file('deep/a.txt')).toBe('made it')
  }),

  'what is in the workspace before is there for the task, which may write to it': complianceCase(
    ['write'],
    async (t) => {
      const restored = { 'deep/kept.txt': 'kept', 'deep/a.txt': 'longer than what comes' }
      const started = await t.fixture.start(t.programs.write('deep/a.txt', 'after'), { restored })
      t.expect((await started.task.wait()).exitCode).toBe(0)
      t.expect(await started.file('deep/kept.txt')).toBe('kept')
      t.expect(await started.file('deep/a.txt')).toBe('after')
    },
  ),

  'out of memory is told apart': complianceCase(['allocate'], async (t) => {
    const resources = { memoryBytes: 32 * MIB }
    const over = await t.fixture.start(t.programs.allocate(256 * MIB), { resources })
    const exit = await over.task.wait()
    t.expect(exit).toMatchObject({ oom: true, reason: 'exited' })
    t.expect(exit.exitCode === 0, 'a task without memory ended with code 0').toBe(false)
    const within = await t.fixture.start(t.programs.allocate(4 * MIB), { resources })
    t.expect(await within.task.wait()).toMatchObject({ exitCode: 0, oom: false })
  }),

  'a flood of output is delivered to its end': complianceCase(['flood'], async (t) => {
    const started = await t.fixture.start(t.programs.flood(4 * MIB))
    const { stdout } = await started.output()
    t.expect(stdout.slice(-4)).toBe('END\n')
    t.expect((await started.task.wait()).exitCode).toBe(0)
  }),

  'a late reader loses the middle, not the end': complianceCase(['flood'], async (t) => {
    const started = await t.fixture.start(t.programs.flood(4 * MIB))
    // Nobody reads: the task must end all the same, and memory for it stays bounded.
    t.expect((await started.task.wait()).exitCode).toBe(0)
    const { stdout } = await started.output()
    t.expect(stdout.slice(-4)).toBe('END\n')
    t.expect(stdout.length).toBeLessThanOrEqual(LIMITS.logBytes)
  }),

  'an image that is none is refused': complianceCase(['badImage'], async (t) => {
    const code = await codeOf(t.fixture.start(t.programs.badImage()))
    t.expect(['IMAGE_NOT_FOUND', 'IMAGE_INVALID']).toContain(code)
    t.expect(await t.fixture.runtime.list()).toEqual([])
  }),

  'a command that is none is refused': complianceCase(['badCommand'], async (t) => {
    const code = await codeOf(t.fixture.start(t.programs.badCommand()))
    t.expect(code).toBe('COMMAND_INVALID')
    t.expect(await t.fixture.runtime.list()).toEqual([])
  }),

  'the longest run time is kept': complianceCase(['spin'], async (t) => {
    const { task } = await t.fixture.start(t.programs.spin(), { maxRuntimeMs: 700 })
    t.expect((await task.wait()).reason).toBe('max-runtime')
  }),

  'the disk quota is kept': complianceCase(['fill'], async (t) => {
    const resources = { diskBytes: 8 * MIB }
    const { task } = await t.fixture.start(t.programs.fill(64 * MIB), { resources })
    t.expect((await task.wait()).reason).toBe('disk')
  }),
} as const
