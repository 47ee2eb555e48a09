/**
 * 40 trivial containers at concurrency 4, all the way: a client submits them to a host over the
 * network, hardened, metered, journaled, until the last container is removed. Against a bare loop over
 * the engine's API at the same concurrency, interleaved.
 */
import { createClient } from '@manyhands/client'
import { docker } from '@manyhands/docker-runtime'
import { createHost } from '@manyhands/host'
import { ensureBusybox } from '../scripts/docker-images.ts'
import { bareContainers } from './shared/containers-bare.ts'
import { engine, socketPath } from './shared/engine.ts'
import { median, printResult } from './shared/result.ts'

const COUNT = 40
const CONCURRENCY = 4
const ROUNDS = 5

const image = await ensureBusybox(engine)

await using host = await createHost({
  runtimes: [docker({ socketPath })],
  share: { cpus: CONCURRENCY, memory: '8GiB', disk: '8GiB' },
  network: { listen: ['/ip4/127.0.0.1/tcp/0'], gossip: false },
})
await using client = await createClient({
  network: { bootstrap: host.addresses, gossip: false },
})
await client.waitForHosts()

async function throughManyhands(count: number): Promise<number> {
  const startedAt = performance.now()
  await client.run({ image, command: ['/bin/true'], tasks: `1-${count}` })
  const label = [`manyhands.host=${host.instance}`]
  while ((await engine.listContainers({ all: true, filters: { label } })).length > 0) {
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  return (count * 1000) / (performance.now() - startedAt)
}

const bare = async (count: number) =>
  (await bareContainers(engine, { image, count, concurrency: CONCURRENCY })).perSecond

await throughManyhands(8)
await bare(8)
const ours: number[] = []
const theirs: number[] = []
for (let round = 0; round < ROUNDS; round += 1) {
  const measures = [
    async () => ours.push(await throughManyhands(COUNT)),
    async () => theirs.push(await bare(COUNT)),
  ]
  // Turned round each time, so that a slow moment of the machine hits both.
  for (const measure of round % 2 === 0 ? measures : measures.reverse()) await measure()
}
const ratio = median(ours.map((rate, round) => rate / theirs[round]!))
printResult({
  name: 'containers',
  promise: '≥ 0.9 × of a bare dockerode loop at the same concurrency',
  value: median(ours),
  unit: 'containers/s',
  rounds: ours,
  against: 'bare dockerode: create, start, wait, remove',
  peer: median(theirs),
  peerRounds: theirs,
  ratio,
  kept: ratio >= 0.9,
})
