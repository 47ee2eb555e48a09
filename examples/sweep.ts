/** Any batch: a range, a cartesian sweep, a generator; results in the order of the items. */
import assert from 'node:assert/strict'
import { range, sweep } from '@manyhands/core'
import { createLocalNetwork } from '@manyhands/testing'

await using network = await createLocalNetwork({ hosts: 2 })
const { client } = network
const spec = { runtime: 'scripted', image: 'any' }

// Every scene at every frame; fields of an item fill the command.
const items = sweep({ scene: ['day', 'night'], frame: range(1, 3) })
const rendered: string[] = []
for await (const result of client.map(items, {
  ...spec,
  command: ['run', '--stdout', '{{item.scene}} {{item.frame}}'],
})) {
  rendered.push(result.stdoutTail)
}
console.log(rendered.join(', '))
assert.deepEqual(rendered, ['day 1', 'day 2', 'day 3', 'night 1', 'night 2', 'night 3'])

// A source without an end is read only as fast as hosts take its tasks.
async function* forever() {
  for (let n = 1; ; n += 1) yield n
}
let enough = 0
for await (const result of client.map(forever(), { ...spec, command: ['run'] })) {
  assert(result.ok)
  enough += 1
  if (enough === 100) break
}
console.log(`${enough} tasks of an endless source, then the rest was canceled`)
