import { describe, expect, test } from 'vitest'
import { noNamespaces } from './namespace.ts'
import { type SplitKind, SplitNetwork, type SplitReport, type Told } from './split-network.ts'

const missing = noNamespaces()
if (missing !== undefined && process.env['CI'] === 'true') throw new Error(missing)

const MIB = 1024 * 1024
const H = 200
/** Tasks that run at a host at once. */
const SLOTS = 2
/** How long ways are cut, in leases: shorter than a host is suspect, longer than its lease, and long. */
const LEASES = [0.4, 1.5, 3]
const KINDS: SplitKind[] = ['drop', 'drop what the client sends', 'drop what hosts send', 'reset']

const scripted = (...command: string[]) => ({ runtime: 'scripted', image: 'any', command })
const runs = ({ phase }: Told) => phase === 'running'
const stages = ({ phase }: Told) => phase === 'staging'
const ends = ({ result }: Told) => result !== undefined

/** Every task has its result, once, and what was done for nothing has a bound. */
function expectWhole(report: SplitReport, tasks: number, cutHosts = 1): void {
  expect(report.phase).toBe('completed')
  expect(Object.keys(report.results)).toHaveLength(tasks)
  for (const result of Object.values(report.results)) {
    expect(result).toMatchObject({ times: 1, ok: true })
  }
  const begun = Object.values(report.ran).reduce((sum, count) => sum + count, 0)
  // What ran there, and what was on its way there when the answer was cut off.
  expect(begun).toBeLessThanOrEqual(tasks + 2 * SLOTS * cutHosts)
  // What was cut is asked what it holds when it is back, once for all.
  for (const { reached, inventories } of Object.values(report.asked)) {
    expect(inventories).toBeLessThanOrEqual(reached)
  }
}

const lostAt = ({ attempts }: SplitReport): Set<string> =>
  new Set(
    Object.values(attempts)
      .filter(({ phases }) => phases.includes('lost'))
      .map(({ host }) => host),
  )

/** Nothing was given up and nothing sent out a second time: no lease had time to end. */
function expectUnnoticed(report: SplitReport): void {
  // On a busy machine it may have.
  if (report.splitMs + report.convergedMs > 5 * H) return
  expect(lostAt(report)).toEqual(new Set())
  for (const { attempts } of Object.values(report.results)) expect(attempts).toBe(1)
}

/** Hosts hold nothing that nobody wants, and are there for the next job. */
async function expectQuiet(network: SplitNetwork): Promise<void> {
  for (const { process } of network.hosts) {
    await expect.poll(() => process.ask('attempts', {})).toEqual([])
  }
  const view = await network.client.ask('view', {})
  for (const { peerId } of network.hosts) expect(view[peerId]?.present).toBe(true)
}

const open = (hosts = ['a', 'b']) =>
  SplitNetwork.create({ heartbeatMs: H, hosts, cpus: SLOTS, rate: '20mbit' })

describe.skipIf(missing !== undefined)(
  `partitions${missing ? `: ${missing}` : ''}`,
  { timeout: 300_000 },
  () => {
    describe.each(KINDS)('a host that is cut off: %s', (kind) => {
      test('while tasks run', async () => {
        await using network = await open()
        const [a] = network.hosts
        for (const leases of LEASES) {
          const moment = () => network.told(runs, 2 * SLOTS)
          const report = await network.run(
            { ...scripted('run', '--for', '2500ms'), tasks: '1-4' },
            { kind, leases, hosts: ['a'], moment },
          )
          expectWhole(report, 4)
          if (leases < 1) expectUnnoticed(report)
          else expect(lostAt(report)).toEqual(new Set([a!.peerId]))
          await expectQuiet(network)
        }
      })

      test('while results are announced', async () => {
        await using network = await open()
        for (const leases of LEASES) {
          const report = await network.run(
            { ...scripted('run', '--for', '150ms'), tasks: '1-60' },
            { kind, leases, hosts: ['a'], moment: () => network.told(ends, 8) },
          )
          expectWhole(report, 60)
          if (leases < 1) expectUnnoticed(report)
          await expectQuiet(network)
        }
      })

      test('while artifacts move', async () => {
        await using network = await open()
        for (const leases of LEASES) {
          const report = await network.run(
            { ...scripted('run', '--copy', 'in/large=large'), tasks: '1-4' },
            {
              ...{ kind, leases, hosts: ['a'], largeBytes: 3 * MIB },
              moment: () => network.told(stages, 3),
            },
          )
          expectWhole(report, 4)
          if (leases < 1) expectUnnoticed(report)
          await expectQuiet(network)
        }
      })
    })

    test.each(['drop', 'reset'] as const)('a client that is cut off from all: %s', async (kind) => {
      await using network = await open(['a', 'b', 'c'])
      for (const leases of LEASES) {
        let later: string | undefined
        const report = await network.run(
          { ...scripted('run', '--for', '5s'), tasks: '1-6' },
          {
            kind,
            leases,
            moment: () => network.told(runs, 6),
            // Nobody is there for it, and it is not lost.
            during: async () => {
              const spec = { ...scripted('run'), tasks: '1-4' }
              later = (await network.client.ask('submit', { spec })).id
            },
          },
        )
        expectWhole(report, 6, 3)
        // They went on where they were: there was nobody else to give them to, and three cuts are no deaths.
        for (const { attempts } of Object.values(report.results)) expect(attempts).toBe(1)
        if (leases < 1) expectUnnoticed(report)
        const { phase, results } = await network.client.ask('report', { id: later! })
        expect(phase).toBe('completed')
        expect(Object.values(results).map(({ times }) => times)).toEqual([1, 1, 1, 1])
        await expectQuiet(network)
      }
    })

    test('the only one that the client knew at first is cut off: work goes on', async () => {
      await using network = await SplitNetwork.create({
        ...{ heartbeatMs: H, hosts: ['a', 'b', 'c'], cpus: SLOTS, gossip: true },
      })
      const here = new Set(network.hosts.slice(1).map(({ name }) => name))
      const began = () =>
        network.hosts.filter(({ name }) => here.has(name)).flatMap(({ ran }) => ran)
      const report = await network.run(
        { ...scripted('run', '--for', '300ms'), tasks: '1-40' },
        {
          ...{ kind: 'drop', leases: 3, hosts: ['a'] },
          moment: () => network.told(ends, 4),
          during: async () => {
            const before = began().length
            await expect.poll(() => began().length).toBeGreaterThan(before + 4)
          },
        },
      )
      expectWhole(report, 40)
      await expectQuiet(network)
    })

    test('hosts that are cut off from each other and not from the client: nobody notices', async () => {
      await using network = await SplitNetwork.create({
        ...{ heartbeatMs: H, hosts: ['a', 'b'], cpus: SLOTS, gossip: true },
      })
      const running = network.told(runs, 2 * SLOTS)
      const spec = { ...scripted('run', '--for', '1s'), tasks: '1-12' }
      const { id } = await network.client.ask('submit', { spec })
      await running
      const cut = await network.bed!.cut('a', 'b')
      const report = await network.client.ask('report', { id })
      await cut.heal()
      expect(report.phase).toBe('completed')
      const phases = Object.values(report.attempts).flatMap((attempt) => attempt.phases)
      expect(phases).not.toContain('lost')
      for (const result of Object.values(report.results)) {
        expect(result).toMatchObject({ times: 1, ok: true, attempts: 1 })
      }
      await expectQuiet(network)
    })
  },
)
