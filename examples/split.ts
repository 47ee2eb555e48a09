/** A range that is cut as hosts take it: larger parts for faster hosts, and nobody waits for the slowest. */
import assert from 'node:assert/strict'
import { createLocalNetwork, scripted } from '@manyhands/testing'

/** A computer that needs so long for each number. */
const computer = (ms: number) => ({
  runtimes: [scripted({ script: ({ command }) => ({ for: ms * Number(command!.at(-1)) }) })],
  share: { cpus: 1, memory: '1GiB', disk: '1GiB' },
})
await using network = await createLocalNetwork({ hosts: [computer(1), computer(2), computer(8)] })
const job = await network.client.submit({
  runtime: 'scripted',
  image: 'any',
  // A real one: ['blender', '-b', '/in/a.blend', '-s', '{{item.from}}', '-e', '{{item.to}}', '-a'].
  command: ['run', '{{item.from}}', '{{item.to}}', '{{item.count}}'],
  tasks: '1-800',
  split: { by: 'range' },
  resources: { disk: 0 },
})
const done = new Map<string, number>()
let parts = 0
for await (const { host, item } of job.results()) {
  parts += 1
  done.set(host!, (done.get(host!) ?? 0) + (item as unknown as { count: number }).count)
}
console.log(`800 numbers in ${parts} parts`)
for (const [host, count] of done) console.log(`${host.slice(-6)} did ${count}`)
assert.equal(job.counts.completed, 800)
assert(parts < 400)
