/**
 * How fast tasks that do nothing go out and come home: over real TCP to host processes with the scriptable
 * runtime, every acceptance durable in the client's journal. Beside BullMQ on Redis in the same run, with as
 * many worker processes; needs redis-server, and the npm registry once for bench/queues. And beside Dask, where
 * Debian's python3-distributed is installed.
 *
 *   npm run bench -- dispatch [--tasks 10000] [--hosts 4] [--rounds 3] [--slots 256] [--concurrency 50] [--singles 200]
 *
 * `slots` is what a host has room for at once, `concurrency` what a worker of BullMQ has.
 */
import { parseArgs } from 'node:util'
import { createClient } from '@manyhands/client'
import { findDask, startDaskPeer } from './shared/dask-peer.ts'
import { startHostProcesses } from './shared/host-processes.ts'
import { queuePeerMissing, startQueuePeer } from './shared/queue-peer.ts'
import { median, percentile, printResult } from './shared/result.ts'
import { makeScratch } from './shared/scratch.ts'

const { values } = parseArgs({
  options: {
    tasks: { type: 'string', default: '10000' },
    hosts: { type: 'string', default: '4' },
    rounds: { type: 'string', default: '3' },
    slots: { type: 'string', default: '256' },
    concurrency: { type: 'string', default: '50' },
    singles: { type: 'string', default: '200' },
  },
})
const [tasks, count, rounds, slots, concurrency, singles] = [
  values.tasks,
  values.hosts,
  values.rounds,
  values.slots,
  values.concurrency,
  values.singles,
].map(Number) as [number, number, number, number, number, number]

await using scratch = await makeScratch()

/** One way of getting tasks done: tasks/s of each round, and ms of each task alone. */
interface Way {
  rates: number[]
  alone: number[]
}

const ours: Way = { rates: [], alone: [] }
const memory: Way = { rates: [], alone: [] }
const everysec: Way = { rates: [], alone: [] }
const dask: Way = { rates: [], alone: [] }
const foundDask = await findDask()
if (typeof foundDask === 'string') process.stderr.write(`Not compared with Dask: ${foundDask}\n`)
const missing = await queuePeerMissing()
if (missing !== undefined) process.stderr.write(`Not compared with BullMQ: ${missing}\n`)
// One after the other, or those that wait would take processor time from those that are measured.
for (let round = 0; round < rounds; round += 1) {
  await ownRound(round)
  if (typeof foundDask !== 'string') await daskRound(foundDask.python, `dask-${round}`)
  if (missing !== undefined) continue
  await queueRound(memory, `memory-${round}`)
  await queueRound(everysec, `everysec-${round}`, 'everysec')
}
const against = missing === undefined ? 'BullMQ 6.7.0 on Redis' : 'nothing'
for (const [peer, how] of [
  [memory, 'in memory'],
  [everysec, 'appendfsync everysec'],
] as const) {
  const rate = missing === undefined ? median(peer.rates) : null
  printResult({
    name: `dispatch beside ${against}, ${how}`,
    promise: 'ahead of BullMQ; goal 10,000 tasks/s',
    value: median(ours.rates),
    unit: 'tasks/s',
    rounds: ours.rates,
    against: `${against}, ${how}, concurrency ${concurrency}`,
    peer: rate,
    ratio: rate === null ? null : median(ours.rates) / rate,
    kept: rate === null || median(ours.rates) > rate,
    peerRounds: peer.rates,
    tasks,
    hosts: count,
    slots,
  })
}
if (typeof foundDask !== 'string') {
  printResult({
    name: 'dispatch beside Dask',
    promise: 'ahead of Dask',
    value: median(ours.rates),
    unit: 'tasks/s',
    rounds: ours.rates,
    against: `Dask ${foundDask.version}, in memory, ${concurrency} threads a worker`,
    peer: median(dask.rates),
    ratio: median(ours.rates) / median(dask.rates),
    kept: median(ours.rates) > median(dask.rates),
    peerRounds: dask.rates,
    peerAlone: percentile(dask.alone, 0.5),
    tasks,
    hosts: count,
    slots,
  })
}
const p50 = percentile(ours.alone, 0.5)
printResult({
  name: 'one task alone',
  promise: 'p50 ≤ 1 ms above the time of the runtime',
  value: p50,
  unit: 'ms',
  against: 'a limit of 1 ms; the runtime itself takes none',
  peer: 1,
  ratio: p50,
  kept: p50 <= 1,
  p99: percentile(ours.alone, 0.99),
  peerAlone: missing === undefined ? percentile(memory.alone, 0.5) : null,
})

async function ownRound(round: number): Promise<void> {
  await using hosts = await startHostProcesses(count, {
    runtimes: ['scripted'],
    cpus: slots,
  })
  await using client = await createClient({
    network: { bootstrap: hosts.addresses, gossip: false },
    state: `${scratch.path}/client-${round}`,
  })
  await client.waitForHosts({ min: count })
  const spec = { runtime: 'scripted', image: 'noop', command: ['run'] }
  await client.run({ ...spec, tasks: '1-2000' })
  const began = performance.now()
  const summary = await client.run({ ...spec, tasks: `1-${tasks}` })
  ours.rates.push((summary.counts.completed * 1000) / (performance.now() - began))
  // A task of a job that is open: what a submission costs is another question.
  const { feed, push, end } = feeding<number>()
  const job = await client.submit({ ...spec, tasks: feed })
  const results = job.results()[Symbol.asyncIterator]()
  for (let n = 0; n < singles; n += 1) {
    const startedAt = performance.now()
    push(n)
    await results.next()
    ours.alone.push(performance.now() - startedAt)
  }
  end()
  await job.wait()
}

async function queueRound(way: Way, name: string, appendfsync?: 'everysec'): Promise<void> {
  await using queue = await startQueuePeer({
    dir: `${scratch.path}/${name}`,
    workers: count,
    concurrency,
    appendfsync,
  })
  await queue.ask('many', { tasks: 2000 })
  const { ms } = await queue.ask('many', { tasks })
  way.rates.push((tasks * 1000) / ms)
  const { times } = await queue.ask('single', { tasks: singles })
  way.alone.push(...times)
}

async function daskRound(python: string, name: string): Promise<void> {
  await using peer = await startDaskPeer({
    python,
    dir: `${scratch.path}/${name}`,
    workers: count,
    threads: concurrency,
  })
  await peer.many(2000)
  dask.rates.push((tasks * 1000) / (await peer.many(tasks)))
  dask.alone.push(...(await peer.single(singles)))
}

/** A source that gives what is pushed into it. */
function feeding<Item>() {
  const waiting: Item[] = []
  let wake = () => {}
  let over = false
  return {
    push(item: Item) {
      waiting.push(item)
      wake()
    },
    end() {
      over = true
      wake()
    },
    feed: (async function* () {
      while (!over || waiting.length > 0) {
        if (waiting.length > 0) yield waiting.shift() as Item
        else await new Promise<void>((resolve) => (wake = resolve))
      }
    })(),
  }
}
