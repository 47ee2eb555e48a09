import { expect, it } from 'vitest'
import { killStorm } from './programs/kill-storm.ts'

/** The whole of it, five times as large, is `npm run bench -- kill-storm`. */
it('loses no task and accepts none twice while 40 hosts and 8 clients are killed', async () => {
  const storm = { tasks: 2000, hosts: 4, ms: 300, everyMs: 200, hostKills: 40, clientKills: 8 }
  const report = await killStorm(storm)
  expect(report.phase, JSON.stringify({ ...report, lost: report.lost.length })).toBe('completed')
  expect(report.lost).toEqual([])
  expect(report.changed).toEqual([])
  expect(report.hostKills).toBe(40)
  expect(report.clientKills).toBe(8)
  expect(report.ran).toBeGreaterThanOrEqual(2000)
  expect(report.ran / 2000).toBeLessThanOrEqual(1.25)
})
