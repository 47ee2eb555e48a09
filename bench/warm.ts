/**
 * Trivial tasks in warm sandboxes against the same tasks in one of their own, for docker and wasm, all the
 * way: a client submits them to a host over loopback, and has every result. Rounds are interleaved; the
 * first sandboxes of a round are made in it.
 */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type Client, createClient } from '@manyhands/client'
import { docker } from '@manyhands/docker-runtime'
import { createHost } from '@manyhands/host'
import { wasm } from '@manyhands/wasm-runtime'
import { ensureBusybox } from '../scripts/docker-images.ts'
import { engine, socketPath } from './shared/engine.ts'
import { NOOP_WASM } from './shared/noop-wasm.ts'
import { median, printResult } from './shared/result.ts'
import { makeScratch } from './shared/scratch.ts'

const { values } = parseArgs({
  options: {
    cold: { type: 'string', default: '24' },
    warm: { type: 'string', default: '600' },
    rounds: { type: 'string', default: '3' },
  },
})
const SLOTS = 4

const image = await ensureBusybox(engine)
await using scratch = await makeScratch()
const module = join(scratch.path, 'noop.wasm')
await writeFile(module, NOOP_WASM)
await using host = await createHost({
  runtimes: [docker({ socketPath }), wasm()],
  share: { cpus: SLOTS, memory: '8GiB', disk: '16GiB' },
  network: { listen: ['/ip4/127.0.0.1/tcp/0'], gossip: false },
})
await using client = await createClient({ network: { bootstrap: host.addresses, gossip: false } })
await client.waitForHosts()

const KINDS = {
  docker: { runtime: 'docker', image, command: ['/bin/true'], promise: 10 },
  wasm: { runtime: 'wasm', image: module, command: ['nothing'], promise: 3 },
}

for (const [name, { promise, ...spec }] of Object.entries(KINDS)) {
  const cold = name === 'wasm' ? Number(values.cold) * 10 : Number(values.cold)
  await rate(client, { ...spec, tasks: `1-${SLOTS}` })
  const rates = { warm: [] as number[], cold: [] as number[] }
  for (let round = 0; round < Number(values.rounds); round += 1) {
    const measures = [
      async () =>
        rates.warm.push(await rate(client, { ...spec, tasks: `1-${values.warm}`, warm: {} })),
      async () => rates.cold.push(await rate(client, { ...spec, tasks: `1-${cold}` })),
    ]
    // Turned round each time, so that a slow moment of the machine hits both.
    for (const measure of round % 2 === 0 ? measures : measures.reverse()) await measure()
  }
  const ratio = median(rates.warm.map((warm, round) => warm / rates.cold[round]!))
  printResult({
    name: `warm ${name}`,
    promise: `≥ ${promise} × the task rate of sandboxes of their own`,
    value: median(rates.warm),
    unit: 'tasks/s',
    rounds: rates.warm,
    against: 'the same tasks, each in a sandbox of its own',
    peer: median(rates.cold),
    peerRounds: rates.cold,
    ratio,
    kept: ratio >= promise,
  })
}

async function rate(by: Client, spec: Parameters<Client['run']>[0]): Promise<number> {
  const begun = performance.now()
  const { counts } = await by.run(spec)
  return (counts.completed * 1000) / (performance.now() - begun)
}
