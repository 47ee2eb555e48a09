/** Hosts of one job give its inputs to each other: the client sends a scene little more than once. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { formatByteSize } from '@manyhands/core'
import type { HostTransfer } from '@manyhands/host'
import { createLocalNetwork } from '@manyhands/testing'

const MIB = 2 ** 20
const scene = randomBytes(32 * MIB)
await using network = await createLocalNetwork({
  hosts: 3,
  // The uplink of a home: what makes it worth to ask the neighbours.
  client: { transfer: { upload: '16MiB/s' } },
})
const { client, hosts } = network

// Each host hears from whom its inputs come, over what, and how fast.
const fromHosts = hosts.map((host) => {
  const sources = new Map<string, HostTransfer>()
  host.addEventListener('transfer', (event) => {
    const { detail } = event as CustomEvent<HostTransfer>
    sources.set(detail.peer, detail)
  })
  return sources
})

const job = await client.submit({
  runtime: 'scripted',
  image: 'any',
  command: ['run', '--stdout', 'rendered'],
  inputs: { '/in/scene': scene },
  resources: { cpus: 4 },
  tasks: '1-3',
})
await job.wait()
assert.equal(job.counts.completed, 3)

for (const [index, sources] of fromHosts.entries()) {
  const parts = [...sources.values()].map(({ peer, path, bytes }) => {
    const who = peer === client.peerId ? 'the client' : 'another host'
    return `${formatByteSize(bytes)} from ${who} (${path})`
  })
  console.log(`host ${index + 1}: ${parts.join(', ')}`)
}
const { bytesUp } = job.progress
console.log(
  `three hosts have ${formatByteSize(scene.length)} each; the client sent`,
  `${(bytesUp / scene.length).toFixed(2)} copies`,
)
assert.ok(bytesUp < 2.5 * scene.length)
