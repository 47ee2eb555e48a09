/** What a host gives of its connection: a rate, so many bytes a day, and what both sides see of it. */
import assert from 'node:assert/strict'
import { formatByteSize } from '@manyhands/core'
import { createLocalNetwork } from '@manyhands/testing'

const MIB = 2 ** 20
await using network = await createLocalNetwork({
  hosts: [{ transfer: { download: '4MiB/s', daily: { download: '5MiB' } } }],
  // A client has caps of its own: its uplink is shared by all hosts that it sends to.
  client: { transfer: { upload: '50MiB/s', perPeer: { upload: '20MiB/s' } } },
})
const host = network.hosts[0]!

const render = (scene: number) => ({
  runtime: 'scripted',
  image: 'any',
  command: ['run', '--stdout', 'rendered'],
  inputs: { '/in/scene': new Uint8Array(4 * MIB).fill(scene) },
  tasks: ['frame'],
})
const first = await network.client.run(render(1))
assert.equal(first.counts.completed, 1)
const { received, lastDay, daily } = host.totals().transfer
assert.deepEqual([received, lastDay.received, daily.download], [4 * MIB, 4 * MIB, 5 * MIB])
console.log(
  `a scene of 4 MiB took ${(first.durationMs / 1000).toFixed(1)} s at 4 MiB/s;`,
  `${formatByteSize(lastDay.received)} of ${formatByteSize(daily.download!)} are used today`,
)

// Another scene does not fit into the day: its task is not failed by that, it waits for a host that has room.
const second = await network.client.submit(render(2))
for await (const event of second.events()) {
  if (event.kind !== 'attempt' || event.error?.code !== 'TRANSFER_QUOTA') continue
  console.log(`another scene: ${event.error.message}`)
  break
}
assert.equal(second.counts.failed, 0)

// The first scene is here, so that work with it is still taken.
assert.equal((await network.client.run(render(1))).counts.completed, 1)
console.log('the first scene is here: more work with it is taken')

// What the owner changes holds at once.
await host.setPolicy({ transfer: { daily: { download: '1GiB' } } })
assert.equal((await second.wait()).phase, 'completed')
console.log('the owner gives more: the second scene is rendered, too')
