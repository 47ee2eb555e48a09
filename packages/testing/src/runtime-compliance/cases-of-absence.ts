import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { complianceCase } from './case.ts'
import { until } from './fixture.ts'

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

/** Cases about what happens while no process of ours is there. */
export const CASES_OF_ABSENCE = {
  'the longest run time holds without us': complianceCase(['tick'], async (t) => {
    const started = await t.fixture.start(t.programs.tick(), { maxRuntimeMs: 2000 })
    const ticks = () =>
      stat(join(started.workspace.outDir, 'ticks')).then(
        (found) => found.size,
        () => 0,
      )
    await until(async () => (await ticks()) > 0, 'the task ticks')
    await t.fixture.runtime.close()
    const left = await ticks()
    await pause(3500)
    const last = await ticks()
    t.expect(last, 'the task went on when the runtime was closed').toBeGreaterThan(left)
    await pause(500)
    t.expect(await ticks(), 'the task ended without us').toBe(last)
    const again = await (await t.fixture.reopen()).recover(started.task.handle)
    t.expect((await again?.wait())?.reason).toBe('max-runtime')
    await again?.remove()
  }),

  'an end that nobody watched is told truthfully': complianceCase(['exit'], async (t) => {
    const failed = await t.fixture.start(t.programs.exit(7, 800))
    const fine = await t.fixture.start(t.programs.exit(0, 800))
    await t.fixture.runtime.close()
    await pause(2000)
    const second = await t.fixture.reopen()
    t.expect((await second.list()).length).toBe(2)
    const ends = [failed, fine].map(async ({ task }) => {
      const again = await second.recover(JSON.parse(JSON.stringify(task.handle)))
      const exit = await again?.wait()
      await again?.remove()
      return exit
    })
    const [seven, zero] = await Promise.all(ends)
    t.expect(seven).toMatchObject({ exitCode: 7, oom: false, reason: 'exited' })
    t.expect(zero).toMatchObject({ exitCode: 0, oom: false, reason: 'exited' })
  }),
} as const
