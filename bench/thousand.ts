/**
 * A thousand hosts in a few processes of this computer, each a whole host with its journal, its store and
 * the scriptable runtime, all in one gossip: how soon a new offer is known to all of them, how soon a
 * client that comes has the whole table, what a host costs while nothing happens.
 *
 *   node --conditions=@manyhands/source bench/thousand.ts [--hosts 1000] [--crews 8] [--steady 60]
 *
 * All of them share this computer's processors: with two, a host can take 0.2 % of one before the machine
 * is full. `--profile` writes a CPU profile of the first crew, from its start, to the working directory.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { createClient } from '@manyhands/client'
import { createHost } from '@manyhands/host'
import { scripted } from '@manyhands/testing'
import { type CrewSays, HostCrew } from './shared/host-crews.ts'
import { median, printResult } from './shared/result.ts'

const GOALS = { newOfferMs: 5_000, tableMs: 3_000, cpuPercent: 1 }
const { values } = parseArgs({
  options: {
    hosts: { type: 'string', default: '1000' },
    crews: { type: 'string', default: '8' },
    steady: { type: 'string', default: '60' },
    rounds: { type: 'string', default: '3' },
    profile: { type: 'boolean', default: false },
  },
})
const total = Number(values.hosts)
const rounds = Number(values.rounds)
const sum = (of: Required<CrewSays>[], pick: (one: Required<CrewSays>) => number) =>
  of.reduce((all, one) => all + pick(one), 0)
const say = (text: string) => process.stderr.write(`${text}\n`)

await using stack = new AsyncDisposableStack()
const crews = Array.from({ length: Number(values.crews) }, (_, index) =>
  stack.use(
    new HostCrew(values.profile && index === 0 ? { execArgv: ['--cpu-prof'] } : { execArgv: [] }),
  ),
)

const began = performance.now()
// In a process of its own: all others come to it while the crews are busy.
const first = stack.use(new HostCrew())
const { addresses: bootstrap } = await first.ask({ do: 'add', count: 1, bootstrap: [] })
const share = Math.floor((total - 1) / crews.length)
await Promise.all(
  crews.map((crew, index) => {
    const count = share + (index < (total - 1) % crews.length ? 1 : 0)
    return crew.ask({ do: 'add', count, bootstrap })
  }),
)
crews.push(first)
say(`${total} hosts are there after ${seconds(performance.now() - began)}`)
await Promise.all(crews.map((crew) => crew.ask({ do: 'know', offers: total - 1 })))
say(`each knows all others after ${seconds(performance.now() - began)}`)
await settled()
say(`the machine is quiet after ${seconds(performance.now() - began)}`)

const before = await Promise.all(crews.map((crew) => crew.ask({ do: 'tell' })))
const steadyMs = Number(values.steady) * 1000
await sleep(steadyMs)
const after = await Promise.all(crews.map((crew) => crew.ask({ do: 'tell' })))
const cpuMs = sum(after, ({ cpuMs }) => cpuMs) - sum(before, ({ cpuMs }) => cpuMs)
const percent = (100 * cpuMs) / steadyMs / total
printResult({
  name: 'thousand: steady CPU',
  promise: `a host of ${total} uses less than ${GOALS.cpuPercent} % of a core while nothing happens`,
  value: percent,
  unit: '% of a core',
  against: 'goal',
  peer: GOALS.cpuPercent,
  ratio: percent / GOALS.cpuPercent,
  kept: percent < GOALS.cpuPercent,
  hosts: total,
  announcementsPerSecond:
    (sum(after, (o) => o.heard) - sum(before, (o) => o.heard)) / (steadyMs / 1000) / total,
  connectionsPerHost: sum(after, ({ connections }) => connections) / total,
  mibPerHost: sum(after, ({ rss }) => rss) / total / 1024 ** 2,
})

const toAll: number[] = []
for (let round = 0; round < rounds; round += 1) {
  const { known } = await first.ask({ do: 'tell' })
  const all = Promise.all(crews.map((crew) => crew.ask({ do: 'know', offers: known + 1 })))
  const host = await createHost({
    runtimes: [scripted()],
    share: { cpus: 1, memory: '1GiB', disk: '1GiB' },
    network: { listen: ['/ip4/127.0.0.1/tcp/0'], bootstrap },
  })
  const at = Date.now()
  toAll.push(Math.max(...(await all).map((said) => said.at)) - at)
  await host.close()
  await sleep(5_000)
}
printResult({
  name: 'thousand: new offer',
  promise: `a new offer is known to all of ${total} hosts within ${GOALS.newOfferMs / 1000} s`,
  value: median(toAll),
  unit: 'ms',
  rounds: toAll,
  against: 'goal',
  peer: GOALS.newOfferMs,
  ratio: median(toAll) / GOALS.newOfferMs,
  kept: Math.max(...toAll) <= GOALS.newOfferMs,
})

const table: number[] = []
for (let round = 0; round < rounds; round += 1) {
  const start = performance.now()
  await using client = await createClient({ network: { bootstrap } })
  await client.waitForHosts({ min: total, timeout: '60s' })
  table.push(performance.now() - start)
}
printResult({
  name: 'thousand: fresh client',
  promise: `a client that comes has the table of ${total} hosts within ${GOALS.tableMs / 1000} s`,
  value: median(table),
  unit: 'ms',
  rounds: table,
  against: 'goal',
  peer: GOALS.tableMs,
  ratio: median(table) / GOALS.tableMs,
  kept: Math.max(...table) <= GOALS.tableMs,
})

/** Until what the start has set off is over: no more CPU is used than a little. */
async function settled(): Promise<void> {
  const spent = async () =>
    sum(await Promise.all(crews.map((crew) => crew.ask({ do: 'tell' }))), ({ cpuMs }) => cpuMs)
  let last = await spent()
  for (let quiet = 0; quiet < 3; ) {
    await sleep(5_000)
    const now = await spent()
    quiet = now - last < 5_000 ? quiet + 1 : 0
    last = now
  }
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`
}
