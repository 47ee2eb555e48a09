import { describe, expect, test } from 'vitest'
import { type Conditions, noSlowWay } from './slow-way.ts'
import { SplitNetwork } from './split-network.ts'

const missing = noSlowWay()
if (missing !== undefined && process.env['CI'] === 'true') throw new Error(missing)

const MIB = 1024 * 1024
const scripted = (...command: string[]) => ({ runtime: 'scripted', image: 'any', command })

/**
 * What a job survives without a word of it, and from which heartbeat on: a lease has to be longer than the
 * silences of the way, and with every fifth packet lost TCP is silent for seconds.
 */
const WAYS: [string, Conditions, heartbeatMs: number][] = [
  ['1 % lost', { loss: 0.01 }, 200],
  ['5 % lost', { loss: 0.05, delayMs: 5 }, 500],
  ['20 % lost', { loss: 0.2, delayMs: 5 }, 5000],
  ['100 ms, uneven', { delayMs: 50, jitterMs: 20 }, 500],
  ['300 ms, uneven', { delayMs: 150, jitterMs: 50 }, 1000],
  ['out of order and twice', { delayMs: 20, reorder: 0.05, duplicate: 0.05 }, 200],
]

describe.skipIf(missing !== undefined)(
  `bad ways${missing ? `: ${missing}` : ''}`,
  { timeout: 300_000 },
  () => {
    test.each(WAYS)(
      '%s: jobs complete, artifacts move, no host is lost',
      async (_, conditions, heartbeatMs) => {
        const hosts = ['a', 'b']
        await using network = await SplitNetwork.create({ heartbeatMs, hosts, cpus: 2, slow: true })
        for (const name of hosts) await network.slow!.way(name).set(conditions)
        const spec = {
          ...scripted('run', '--for', '500ms', '--copy', 'in/large=large'),
          tasks: '1-8',
        }
        const { id } = await network.client.ask('submit', { spec, largeBytes: MIB })
        const report = await network.client.ask('report', { id })
        expect(report.phase).toBe('completed')
        expect(Object.keys(report.results)).toHaveLength(8)
        for (const result of Object.values(report.results)) {
          expect(result).toMatchObject({ times: 1, ok: true, attempts: 1 })
        }
        const phases = Object.values(report.attempts).flatMap((attempt) => attempt.phases)
        expect(phases).not.toContain('lost')
      },
    )
  },
)
