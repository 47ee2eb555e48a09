/**
 * A range of 5,000 numbers, of about a minute each, at 20 simulated hosts whose speeds differ by four: one
 * freezes half-way for good, two join late. Makespan against the lower bound, which is the time in which all
 * hosts together could do the work if it could be cut at will and nothing were lost. Beside it the same in
 * tasks of a fixed size: with late ones run twice, and without.
 *
 *   node --conditions=@manyhands/source bench/makespan.ts [--seeds 5] [--numbers 5000]
 */
import { parseArgs } from 'node:util'
import {
  createLocalNetwork,
  type SimulatedHostOptions,
  type SimulatedTask,
} from '@manyhands/testing'
import { median, percentile, printResult } from './shared/result.ts'
import { seededRandom } from './shared/seeded-random.ts'

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '5' },
    numbers: { type: 'string', default: '5000' },
  },
})
const NUMBERS = Number(values.numbers)
const HOSTS = 20
const SLOTS = 2
/** A task of a fixed size: what somebody would choose who does not know the hosts. */
const FIXED = 25
const MOST = 1.15
const ITEM_MS = 60_000

interface Scenario {
  hosts: (SimulatedHostOptions & { speed: number; joinsMs: number; goneMs: number })[]
  /** By number, at speed 1. */
  itemMs: number[]
  boundMs: number
}

function scenario(seed: number): Scenario {
  const random = seededRandom(seed)
  const itemMs = Array.from({ length: NUMBERS }, () => ITEM_MS * (0.5 + random()))
  const speeds = Array.from({ length: HOSTS }, (_, rank) => 4 ** (rank / (HOSTS - 1)))
  speeds.sort(() => random() - 0.5)
  const ever = { joinsMs: 0, goneMs: Number.POSITIVE_INFINITY }
  const plain = speeds.map((speed) => ({ speed, ...ever }))
  const aboutMs = bound(plain, itemMs)
  const times = plain.map((host, index) => {
    if (index === 0) return { ...host, goneMs: aboutMs / 2 }
    return index > 2 ? host : { ...host, joinsMs: (aboutMs * index) / 4 }
  })
  const hosts = times.map((host) => ({
    ...host,
    share: { cpus: SLOTS },
    ...(host.joinsMs === 0 ? {} : { joinsAfter: host.joinsMs }),
    ...(host.goneMs === Number.POSITIVE_INFINITY ? {} : { freezesAfter: host.goneMs }),
  }))
  return { hosts, itemMs, boundMs: bound(times, itemMs) }
}

/** When all of the work could be done at the earliest. */
function bound(
  hosts: { speed: number; joinsMs: number; goneMs: number }[],
  itemMs: number[],
): number {
  const workMs = itemMs.reduce((sum, ms) => sum + ms, 0)
  const doneBy = (ms: number) =>
    hosts.reduce(
      (sum, { speed, joinsMs, goneMs }) =>
        sum + speed * SLOTS * Math.max(0, Math.min(ms, goneMs) - joinsMs),
      0,
    )
  let [early, late] = [0, workMs]
  while (late - early > 1) {
    const middle = (early + late) / 2
    if (doneBy(middle) >= workMs) late = middle
    else early = middle
  }
  return late
}

async function makespan(
  { hosts, itemMs }: Scenario,
  seed: number,
  how: { split: boolean; speculate: boolean },
): Promise<number> {
  const durations = (from: number, to: number) =>
    itemMs.slice(from - 1, to).reduce((sum, ms) => sum + ms, 0)
  const work = ({ command }: SimulatedTask) => {
    const [, first, last] = command as string[]
    if (last !== undefined) return durations(Number(first), Number(last))
    const from = (Number(first) - 1) * FIXED + 1
    return durations(from, from + FIXED - 1)
  }
  await using network = await createLocalNetwork({
    hosts: hosts.map(({ joinsMs: _, goneMs: __, ...host }) => host),
    simulate: { seed, jitter: '10ms', work },
  })
  const begunAt = network.clock.now()
  const base = { runtime: 'scripted', image: 'any', speculate: how.speculate }
  await network.client.run(
    how.split
      ? {
          ...base,
          command: ['run', '{{item.from}}', '{{item.to}}'],
          tasks: `1-${NUMBERS}`,
          split: { by: 'range' },
        }
      : { ...base, command: ['run', '{{item}}'], tasks: `1-${Math.ceil(NUMBERS / FIXED)}` },
  )
  return network.clock.now() - begunAt
}

const WAYS = {
  split: { split: true, speculate: true },
  fixedSpeculated: { split: false, speculate: true },
  fixed: { split: false, speculate: false },
}
const ratios: Record<keyof typeof WAYS, number[]> = { split: [], fixedSpeculated: [], fixed: [] }
const bounds: number[] = []
for (let seed = 1; seed <= Number(values.seeds); seed += 1) {
  const one = scenario(seed)
  bounds.push(one.boundMs)
  for (const [name, how] of Object.entries(WAYS) as [keyof typeof WAYS, (typeof WAYS)['split']][]) {
    ratios[name].push((await makespan(one, seed, how)) / one.boundMs)
  }
}
printResult({
  name: 'makespan',
  promise: `a split range at unequal hosts takes ≤ ${MOST} × the lower bound`,
  value: (median(ratios.split) * median(bounds)) / 60_000,
  unit: 'simulated minutes',
  rounds: ratios.split,
  against: 'work / speed of all hosts while they are there',
  peer: median(bounds) / 60_000,
  ratio: median(ratios.split),
  kept: percentile(ratios.split, 1) <= MOST,
  [`tasks of ${FIXED}, late ones twice`]: median(ratios.fixedSpeculated),
  [`tasks of ${FIXED}`]: median(ratios.fixed),
})
