/** Strangers' computers: results are checked at other hosts, and nothing that a cheat made up is handed out. */
import assert from 'node:assert/strict'
import { createLocalNetwork } from '@manyhands/testing'

await using network = await createLocalNetwork({
  // Simulated, as nobody has a cheat at hand: one computer in six makes up a third of its results.
  hosts: [{}, {}, {}, {}, {}, { cheats: 0.33 }],
  simulate: { seed: 2 },
})
const cheat = network.hosts.at(-1)!.peerId
const job = await network.client.submit({
  runtime: 'scripted',
  image: 'any',
  command: ['run', '--for', '5m', '--stdout', 'frame {{item}}'],
  tasks: '1-200',
  // Pictures that differ in noise alone: { compare: 'image' }; the end of a run of molecules: { compare: 'md' }.
  verify: { compare: 'bytes' },
})
let attempts = 0
let found = 0
const following = (async () => {
  for await (const event of job.events()) {
    if (event.kind === 'attempt' && event.phase === 'offered') attempts += 1
    if (event.kind !== 'check' || !event.wrong.includes(cheat)) continue
    found += 1
    if (found === 1)
      console.log(
        `task ${event.task}: ${event.hosts.length} hosts agree, …${cheat.slice(-6)} does not`,
      )
  }
})()
const results = await Array.fromAsync(job.results())
await following
const wrong = results.filter(({ stdoutTail, item }) => stdoutTail !== `frame ${item}`)
console.log(`${results.length} results, ${wrong.length} wrong; ${attempts} attempts for 200 tasks`)
assert.deepEqual([job.phase, results.length, wrong.length], ['completed', 200, 0])
assert(found > 0)
