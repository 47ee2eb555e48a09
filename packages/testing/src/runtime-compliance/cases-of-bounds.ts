import { LIMITS, ManyhandsError } from '@manyhands/core'
import { type CaseContext, codeOf, complianceCase } from './case.ts'
import type { StartOptions } from './fixture.ts'
import { until } from './fixture.ts'

const MIB = 1024 ** 2

/** What a runtime cannot do is answered, never ignored. */
async function refused(t: CaseContext<'exit'>, options: StartOptions): Promise<void> {
  t.expect(await codeOf(t.fixture.start(t.programs.exit(0), options))).toBe('UNSUPPORTED')
  t.expect(await t.fixture.runtime.list()).toEqual([])
}

/** Cases about what a task can reach, what it can fill, and what reaches it. */
export const CASES_OF_BOUNDS = {
  'a task is not root': complianceCase(['uid'], async (t) => {
    const started = await t.fixture.start(t.programs.uid())
    const { stdout } = await started.output()
    t.expect(stdout).toMatch(/^[1-9][0-9]*\n$/)
  }),

  'without a network there is none': complianceCase(['interfaces'], async (t) => {
    const started = await t.fixture.start(t.programs.interfaces())
    const { stdout } = await started.output()
    t.expect(stdout.split('\n').filter((name) => name !== '' && name !== 'lo')).toEqual([])
  }),

  'output that is no text passes unchanged': complianceCase(['raw'], async (t) => {
    const hex = 'ff00fe0ac328e2a80d0a80'
    const started = await t.fixture.start(t.programs.raw(hex))
    t.expect(Buffer.from(await started.stdoutBytes()).toString('hex')).toBe(hex)
  }),

  'argv and environment at their limits arrive': complianceCase(['echo', 'env'], async (t) => {
    const length = Math.floor(LIMITS.argvBytes / LIMITS.argvEntries)
    const entries = LIMITS.argvEntries - 8
    const many = Array.from({ length: entries }, (_, index) => `${index}`.padEnd(length, 'x'))
    const long = await t.fixture.start(t.programs.echo(many))
    t.expect((await long.output()).stdout === many.map((arg) => `${arg}\n`).join('')).toBe(true)
    const one = 'y'.repeat(120 * 1024)
    const wide = await t.fixture.start(t.programs.echo([one]))
    t.expect((await wide.output()).stdout === `${one}\n`).toBe(true)
    const env: Record<string, string> = {}
    for (let index = 0; index < LIMITS.envEntries; index += 1)
      env[`V${index}`] = `${index}`.padEnd(100)
    const last = `V${LIMITS.envEntries - 1}`
    const told = await t.fixture.start(t.programs.env(last), { env })
    t.expect((await told.output()).stdout).toBe(`${env[last]}\n`)
  }),

  'the disk quota counts many small files': complianceCase(['litter'], async (t) => {
    const resources = { diskBytes: MIB }
    const { task } = await t.fixture.start(t.programs.litter(20_000), { resources })
    t.expect((await task.wait()).reason).toBe('disk')
  }),

  'GPUs that are not there are refused': complianceCase(['exit'], async (t) => {
    const start = t.fixture.start(t.programs.exit(0), { gpuIds: ['GPU-that-is-not-there'] })
    t.expect(['UNSUPPORTED', 'RUNTIME_FAILED']).toContain(await codeOf(start))
    t.expect(await t.fixture.runtime.list()).toEqual([])
  }),

  'secrets are files for the task alone and on no disk': complianceCase(
    ['secret', 'sleep'],
    async (t) => {
      const secret = Buffer.from(`open sesame ${t.fixture.context.hostInstance}`)
      const secrets = { token: secret, other: Buffer.from([0, 255, 10]) }
      const other = await t.fixture.start(t.programs.sleep(60_000), { secrets })
      const started = await t.fixture.start(t.programs.secret('token'), { secrets })
      const { stdout } = await started.output()
      const [facts, ...contents] = stdout.split('\n')
      t.expect(facts).toMatch(/^[46]00 [0-9]+ (tmpfs|ramfs)$/)
      t.expect(contents.join('\n')).toBe(secret.toString())
      t.expect(await t.fixture.filesWith(secret), 'files that hold the secret').toEqual([])
      const none = await t.fixture.start(t.programs.secret('token'))
      t.expect((await none.output()).stdout).toBe('')
      t.expect((await none.task.wait()).exitCode === 0, 'a task without secrets has one').toBe(
        false,
      )
      await other.task.remove()
      t.expect(await t.fixture.filesWith(secret), 'files that hold the secret').toEqual([])
    },
  ),

  'secrets are refused where they cannot be kept': complianceCase(['exit'], (t) =>
    refused(t, { secrets: { token: Buffer.from('x') } }),
  ),

  'egress reaches what is listed and nothing else': complianceCase(['fetch'], async (t) => {
    if (t.egress === undefined) {
      throw new ManyhandsError(
        'USAGE',
        'a runtime with the capability egress is given destinations',
      )
    }
    const { listed, unlisted } = t.egress
    const networkProfile = { egress: [listed.destination] }
    const get = async (url: string, options: StartOptions) => {
      const started = await t.fixture.start(t.programs.fetch(url), options)
      const { stdout } = await started.output()
      return { stdout, succeeded: (await started.task.wait()).exitCode === 0 }
    }
    const reached = await get(listed.url, { networkProfile })
    t.expect(reached).toEqual({ stdout: listed.answer, succeeded: true })
    for (const url of unlisted) {
      const answer = await get(url, { networkProfile })
      t.expect(answer.succeeded, `${url} was reached: ${answer.stdout}`).toBe(false)
    }
    t.expect((await get(listed.url, {})).succeeded, 'reached without the profile').toBe(false)
  }),

  'egress is refused where it cannot be kept': complianceCase(['exit'], (t) =>
    refused(t, { networkProfile: { egress: ['example.com:443'] } }),
  ),

  'a declared port is reached, another is not': complianceCase(['serve'], async (t) => {
    const [declared, undeclared] = [7001, 7002]
    const { task } = await t.fixture.start(t.programs.serve(declared), { ports: [declared] })
    const dial = async () => task.dial?.(declared, {})
    const connects = async () => (await dial())?.close()
    // It listens a moment after its start.
    await until(async () => (await codeOf(connects())) === undefined, 'the port is reached')
    const connection = await dial()
    await connection?.write(Buffer.from('are you there?'))
    let heard = ''
    for await (const bytes of connection?.readable ?? []) {
      heard += Buffer.from(bytes).toString()
      if (heard.length >= 14) break
    }
    t.expect(heard).toBe('are you there?')
    await connection?.close()
    const other = Promise.resolve(task.dial?.(undeclared, {}))
    t.expect(['UNSUPPORTED', 'CONNECT_FAILED']).toContain(await codeOf(other))
    await task.kill()
    t.expect(['UNSUPPORTED', 'CONNECT_FAILED']).toContain(await codeOf(dial()))
  }),

  'ports are refused where they cannot be reached': complianceCase(['exit'], (t) =>
    refused(t, { ports: [7001] }),
  ),
} as const
