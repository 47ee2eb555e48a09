import { codeIn, codeOf, complianceCase } from './case.ts'
import { until } from './fixture.ts'

const MIB = 1024 ** 2

/** Cases about what the owner does to a running task, and about what is left of it. */
export const CASES_OF_CONTROL = {
  'kill ends an endless loop': complianceCase(['spin'], async (t) => {
    const { task } = await t.fixture.start(t.programs.spin())
    await task.kill()
    t.expect((await task.wait()).reason).toBe('stopped')
  }),

  'kill ends a paused task': complianceCase(['spin'], async (t) => {
    const { task } = await t.fixture.start(t.programs.spin())
    await task.pause?.()
    await task.kill()
    t.expect((await task.wait()).reason).toBe('stopped')
  }),

  'a stop within its grace counts as stopped': complianceCase(['sleep'], async (t) => {
    const { task } = await t.fixture.start(t.programs.sleep(60_000))
    await task.stop({ graceMs: 5000 })
    t.expect((await task.wait()).reason).toBe('stopped')
  }),

  'a task that ignores TERM is killed after the grace': complianceCase(
    ['ignoreTerm'],
    async (t) => {
      const started = await t.fixture.start(t.programs.ignoreTerm())
      await started.printed('ready')
      await started.task.stop({ graceMs: 300 })
      t.expect(await started.task.wait()).toMatchObject({ signal: 'SIGKILL', reason: 'stopped' })
    },
  ),

  'a paused task uses no processor until it is resumed': complianceCase(['spin'], async (t) => {
    const { task } = await t.fixture.start(t.programs.spin())
    await task.pause?.()
    const before = await task.stats()
    await new Promise((resolve) => setTimeout(resolve, 400))
    const after = await task.stats()
    t.expect(after.cpuMs - before.cpuMs).toBeLessThanOrEqual(50)
    await task.resume?.()
    await until(async () => (await task.stats()).cpuMs > after.cpuMs + 50, 'the task runs again')
  }),

  'a cooperative pause holds until it is resumed': complianceCase(['sleep'], async (t) => {
    const { task } = await t.fixture.start(t.programs.sleep(500))
    await task.pause?.()
    const first = await Promise.race([
      task.wait(),
      new Promise((resolve) => setTimeout(resolve, 1500, 'still paused')),
    ])
    t.expect(first).toBe('still paused')
    await task.resume?.()
    t.expect(await task.wait()).toMatchObject({ exitCode: 0, reason: 'exited' })
  }),

  'outputs can be seen while the task runs': complianceCase(['tick'], async (t) => {
    const started = await t.fixture.start(t.programs.tick())
    const ticks = () => started.file('ticks').catch(() => '')
    await until(async () => (await ticks()).length > 1, 'what the task writes is in the workspace')
    await started.task.kill()
    t.expect((await started.task.wait()).reason).toBe('stopped')
  }),

  'limits of a running task can be changed': complianceCase(['spin'], async (t) => {
    const { task } = await t.fixture.start(t.programs.spin())
    await task.limit?.({ cpus: 0.5, memoryBytes: 96 * MIB, pids: 32 })
    t.expect((await task.stats()).memory).toBeLessThanOrEqual(96 * MIB)
  }),

  'usage tells of a busy processor': complianceCase(['spin'], async (t) => {
    const { task } = await t.fixture.start(t.programs.spin())
    await until(async () => (await task.stats()).cpuMs > 100, 'the task has used 100 core-ms')
    const usage = await task.stats()
    t.expect(usage.elapsedMs).toBeGreaterThan(0)
    t.expect(usage.pids).toBeGreaterThan(0)
    await until(async () => (await task.stats()).cpu > 0, 'a sample shows cores in use')
  }),

  'usage tells of memory': complianceCase(['hold'], async (t) => {
    const { task } = await t.fixture.start(t.programs.hold(24 * MIB))
    await until(async () => (await task.stats()).memory >= 20 * MIB, 'memory is in use')
    const usage = await task.stats()
    t.expect(usage.memoryPeak).toBeGreaterThan(20 * MIB)
    t.expect(usage.memory).toBeLessThanOrEqual(128 * MIB)
  }),

  'usage tells of the disk': complianceCase(['fill'], async (t) => {
    const { task } = await t.fixture.start(t.programs.fill(4 * MIB))
    await until(async () => (await task.stats()).disk >= 4 * MIB, 'the files are counted')
  }),

  'a signal that has fired starts nothing': complianceCase(['exit'], async (t) => {
    const reason = new Error('changed my mind')
    const start = t.fixture.start(t.programs.exit(0), { signal: AbortSignal.abort(reason) })
    t.expect(await codeOf(start)).toBe(reason)
    t.expect(await t.fixture.runtime.list()).toEqual([])
  }),

  'a signal during the start leaves nothing': complianceCase(['spin'], async (t) => {
    const controller = new AbortController()
    const reason = new Error('changed my mind')
    const start = t.fixture.start(t.programs.spin(), { signal: controller.signal })
    setTimeout(() => controller.abort(reason), 10)
    // A start that was faster than the signal is a running task like any other.
    const outcome = await codeOf(start)
    t.expect([undefined, reason]).toContain(outcome)
    await t.fixture.removeAll()
    t.expect(await t.fixture.runtime.list()).toEqual([])
  }),

  'a signal at any moment of the start leaves nothing': complianceCase(['spin'], async (t) => {
    const reason = new Error('changed my mind')
    const outcomes = [0, 5, 20, 50, 100, 150, 250].map((afterMs) => {
      const controller = new AbortController()
      setTimeout(() => controller.abort(reason), afterMs)
      return codeOf(t.fixture.start(t.programs.spin(), { signal: controller.signal }))
    })
    // A start that was faster than its signal is a running task like any other.
    for (const outcome of await Promise.all(outcomes)) {
      t.expect([undefined, reason]).toContain(outcome)
    }
    await t.fixture.removeAll()
    t.expect(await t.fixture.runtime.list()).toEqual([])
  }),

  'two starts of one attempt make one sandbox': complianceCase(['spin'], async (t) => {
    const attemptId = 'attempt-twice.1'
    const starts = [1, 2].map(() => t.fixture.start(t.programs.spin(), { attemptId }))
    const outcomes = await Promise.allSettled(starts)
    const ids = new Set<string>()
    for (const outcome of outcomes) {
      if (outcome.status === 'fulfilled') ids.add(outcome.value.task.handle.id)
      else t.expect(codeIn(outcome.reason)).toBe('RUNTIME_FAILED')
    }
    t.expect(ids.size).toBe(1)
    t.expect((await t.fixture.runtime.list()).map(({ id }) => id)).toEqual([...ids])
  }),

  'many at once run and leave nothing': complianceCase(['echo'], async (t) => {
    const words = Array.from({ length: 8 }, (_, index) => `word ${index}`)
    const resources = { cpus: 0.25, memoryBytes: 32 * MIB }
    const said = words.map(async (word) => {
      const started = await t.fixture.start(t.programs.echo([word]), { resources })
      const { stdout } = await started.output()
      t.expect(await started.task.wait()).toMatchObject({ exitCode: 0, reason: 'exited' })
      return stdout
    })
    t.expect(await Promise.all(said)).toEqual(words.map((word) => `${word}\n`))
  }),

  'usage is told after the end and no longer changes': complianceCase(['spin'], async (t) => {
    const { task } = await t.fixture.start(t.programs.spin())
    await until(async () => (await task.stats()).cpuMs > 100, 'the task has used 100 core-ms')
    const before = await task.stats()
    await task.kill()
    const after = await task.stats()
    t.expect(after.cpuMs >= before.cpuMs, 'processor time was forgotten').toBe(true)
    t.expect(after.elapsedMs >= before.elapsedMs, 'time was forgotten').toBe(true)
    t.expect(after.pids).toBe(0)
    await new Promise((resolve) => setTimeout(resolve, 50))
    t.expect(await task.stats()).toEqual(after)
  }),

  'paused time is no run time': complianceCase(['sleep'], async (t) => {
    const { task } = await t.fixture.start(t.programs.sleep(400), { maxRuntimeMs: 6000 })
    await task.pause?.()
    // Longer than its whole run time, which an emulated machine on a busy one needs most of.
    await new Promise((resolve) => setTimeout(resolve, 6500))
    await task.resume?.()
    t.expect(await task.wait()).toMatchObject({ exitCode: 0, reason: 'exited' })
  }),

  'wait settles once, also after the end': complianceCase(['exit'], async (t) => {
    const { task } = await t.fixture.start(t.programs.exit(7))
    const [first, second] = await Promise.all([task.wait(), task.wait()])
    t.expect(second).toEqual(first)
    await task.remove()
    t.expect(await task.wait()).toEqual(first)
  }),

  'every call is harmless after the end': complianceCase(['exit'], async (t) => {
    const { task } = await t.fixture.start(t.programs.exit(0))
    const exit = await task.wait()
    for (let round = 0; round < 2; round += 1) {
      await task.pause?.()
      await task.resume?.()
      await task.limit?.({ cpus: 1 })
      await task.stop({ graceMs: 100 })
      await task.kill()
      t.expect((await task.stats()).pids).toBe(0)
      await task.remove()
    }
    t.expect(await task.wait()).toEqual(exit)
  }),

  'remove kills what still runs, and twice is harmless': complianceCase(['spin'], async (t) => {
    const { task } = await t.fixture.start(t.programs.spin())
    await Promise.all([task.remove(), task.remove()])
    await task.remove()
    t.expect((await task.wait()).reason).toBe('stopped')
    t.expect(await t.fixture.runtime.list()).toEqual([])
  }),

  'list names what exists until it is removed': complianceCase(['exit', 'spin'], async (t) => {
    const ended = await t.fixture.start(t.programs.exit(0))
    const running = await t.fixture.start(t.programs.spin())
    await ended.task.wait()
    const ids = (await t.fixture.runtime.list()).map((handle) => handle.id)
    t.expect(ids).toContain(running.task.handle.id)
    await t.fixture.removeAll()
    t.expect(await t.fixture.runtime.list()).toEqual([])
  }),

  'another process takes a running task up again': complianceCase(['sleep'], async (t) => {
    const { task } = await t.fixture.start(t.programs.sleep(1500))
    await t.fixture.runtime.close()
    const second = await t.fixture.reopen()
    const handle = JSON.parse(JSON.stringify(task.handle))
    t.expect((await second.list()).map((found) => found.id)).toEqual([handle.id])
    const again = await second.recover(handle)
    t.expect(again === undefined, 'the running task was not found').toBe(false)
    t.expect(await again?.wait()).toMatchObject({ exitCode: 0, reason: 'exited' })
    await again?.remove()
    t.expect(await second.recover(handle)).toBe(undefined)
  }),

  'a program can be run beside the task': complianceCase(['sleep', 'echo'], async (t) => {
    const { task } = await t.fixture.start(t.programs.sleep(60_000))
    const ran = await task.exec?.(t.programs.echo(['from exec']).command, {})
    t.expect(Buffer.from(ran?.stdout ?? []).toString()).toBe('from exec\n')
    t.expect(ran?.exitCode).toBe(0)
  }),
} as const
