/**
 * 1,000 no-op tasks over real TCP to 4 host processes with the scriptable runtime. The ratio is against
 * the same number of bare requests to the same processes in the same run: what the network alone costs.
 */
import { createClient } from '@manyhands/client'
import { createNetwork } from '@manyhands/core'
import { startHostProcesses } from './shared/host-processes.ts'
import { median, printResult } from './shared/result.ts'

const TASKS = 1000
const ROUNDS = 5
const HOSTS = 4

await using hosts = await startHostProcesses(HOSTS, { runtimes: ['scripted'], cpus: 64 })
await using client = await createClient({
  network: { bootstrap: hosts.addresses, gossip: false },
})
await client.waitForHosts({ min: HOSTS })
await using network = await createNetwork({ bootstrap: hosts.addresses, gossip: false })

const spec = { runtime: 'scripted', image: 'noop', command: ['run'], tasks: `1-${TASKS}` }
await client.run(spec)

const rates: number[] = []
const bareRates: number[] = []
for (let round = 0; round < ROUNDS; round += 1) {
  let startedAt = performance.now()
  const summary = await client.run(spec)
  rates.push((summary.counts.completed * 1000) / (performance.now() - startedAt))

  startedAt = performance.now()
  const peers = network.peers()
  // Three requests a task is what offering, renewing and acknowledging one by one would cost.
  await Promise.all(
    Array.from({ length: TASKS * 3 }, (_, n) =>
      network.call(peers[n % peers.length]!, 'offer.get', {}),
    ),
  )
  bareRates.push((TASKS * 1000) / (performance.now() - startedAt))
}
printResult({
  name: 'tasks-per-second',
  promise: '≥ 1,000 tasks/s',
  value: median(rates),
  unit: 'tasks/s',
  rounds: rates,
  against: 'three bare requests per task, same processes',
  peer: median(bareRates),
  ratio: median(rates) / median(bareRates),
  kept: median(rates) >= 1000,
})
